import numpy as np
import pytest

from helpers.capacity import che, planner, popularity
from helpers.capacity.planner import Demand
from helpers.capacity.service_times import ServiceTimes
from helpers.costs import InstanceType

TIMES = ServiceTimes(warm=np.array([0.004]), disk=np.array([0.05]), cold=np.array([0.2]))
SMALL, LARGE = InstanceType("small", 2, 4, 0.1), InstanceType("large", 8, 64, 0.6)
SHARES = popularity.zipf(10_000, 0.9)


def demand(**changes):
    options = {"calls_per_second": 10.0, "model_bytes": 10 * 2**20, "hit_ratio": 0.9, "p99_seconds": 1.0}
    return Demand(SHARES, **(options | changes))


def planned(kind, **changes):
    [found] = planner.plan(demand(**changes), TIMES, [kind])
    return found


def test_as_many_instances_as_hold_enough_models():
    plan = planned(SMALL)
    assert plan.models_per_instance == int(4 * 1024 * 0.7 // 10)
    assert plan.limit == "memory"
    assert plan.hit_ratio >= 0.9 > che.hit_ratio(SHARES, (plan.instances - 1) * plan.models_per_instance)
    assert plan.dollars_per_hour == pytest.approx(plan.instances * 0.1)


def test_much_traffic_needs_processors_and_more_of_it_more_of_them():
    plans = [planned(LARGE, calls_per_second=rate) for rate in (5_000, 10_000)]
    assert {plan.limit for plan in plans} == {"processors"}
    assert plans[0].instances < plans[1].instances
    # More instances than the hit ratio asks for raise it.
    assert plans[1].hit_ratio > 0.9


def test_a_short_percentile_asks_for_a_higher_hit_ratio_and_an_impossible_one_is_said_to_be():
    assert planned(SMALL, hit_ratio=0.5, p99_seconds=0.02).hit_ratio >= 0.99
    impossible = planned(SMALL, p99_seconds=0.001)
    assert impossible.instances is None
    with pytest.raises(ValueError, match="No number of small reaches the wanted percentile"):
        planner.rehearse(demand(), TIMES, impossible, SMALL, calls=10, seed=1)


def test_a_model_that_fits_no_instance_is_said_to():
    plan = planned(SMALL, model_bytes=5 * 2**30)
    assert (plan.instances, plan.models_per_instance, plan.limit) == (None, 0, "memory")


def test_the_cheapest_plan_comes_first_and_impossible_ones_last():
    plans = planner.plan(demand(model_bytes=3 * 2**30), TIMES, [SMALL, LARGE])
    assert [plan.instance_type for plan in plans] == ["large", "small"]
    plans = planner.plan(demand(), TIMES, [LARGE, SMALL])
    assert plans[0].dollars_per_hour <= plans[1].dollars_per_hour


def test_the_simulator_confirms_a_plan():
    wanted = demand(calls_per_second=200.0, p99_seconds=0.1)
    plan = planner.plan(wanted, TIMES, [SMALL])[0]
    outcome = planner.rehearse(wanted, TIMES, plan, SMALL, calls=20_000, seed=2)
    assert outcome.percentile(99) <= 0.1
    assert outcome.hit_ratio == pytest.approx(plan.hit_ratio, abs=0.02)


def test_the_cost_of_a_shared_endpoint_grows_with_the_models_but_not_in_proportion():
    dollars = planner.cost_by_models(demand(), TIMES, [SMALL, LARGE], counts=[1, 1_000, 100_000], exponent=0.9)
    assert dollars[0] == pytest.approx(0.1)
    assert dollars[0] < dollars[1] < dollars[2] < 100_000 * dollars[0]
