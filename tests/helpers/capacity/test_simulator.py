import time

import numpy as np
import pytest

from helpers.capacity import che, popularity, simulator, traffic
from helpers.capacity.service_times import COLD, DISK, WARM, ServiceTimes
from helpers.capacity.simulator import Fleet
from helpers.capacity.traffic import Trace

TIMES = ServiceTimes(warm=np.array([0.1]), disk=np.array([1.0]), cold=np.array([3.0]))


def run(models, *, every=10.0, **fleet):
    """The outcome of calls at even distances, by default so large that none meets another."""
    trace = Trace(every * np.arange(1, len(models) + 1), np.array(models))
    return simulator.simulate(trace, Fleet(**{"instances": 1, "models_in_memory": 2} | fleet), TIMES, seed=1)


def test_a_model_is_downloaded_once_and_loaded_from_the_disk_after_it_was_unloaded():
    outcome = run([1, 2, 1, 3, 1, 2])  # 3 takes the place of 2, which was used longer ago than 1
    assert outcome.states.tolist() == [COLD, COLD, WARM, COLD, WARM, DISK]
    assert outcome.seconds == pytest.approx([3, 3, 0.1, 3, 0.1, 1])
    assert outcome.hit_ratio == pytest.approx(2 / 6)


def test_a_full_disk_loses_the_files_that_were_used_longest_ago():
    assert run([1, 2, 3, 1], models_on_disk=2).states.tolist() == [COLD] * 4
    assert run([1, 2, 3, 1], models_on_disk=3).states.tolist() == [COLD, COLD, COLD, DISK]


def test_calls_that_come_together_share_one_load_and_count_as_misses():
    outcome = run([1, 1, 1], every=1.0)
    assert outcome.states.tolist() == [COLD, COLD, COLD]
    assert outcome.seconds == pytest.approx([3, 2, 1])


def test_loads_wait_for_their_turn():
    outcome = run([1, 2, 3], every=0.1, loads_at_once=1, models_in_memory=9)
    assert outcome.seconds == pytest.approx([3, 5.9, 8.8])
    assert run([1, 2, 3], every=0.1, loads_at_once=3, models_in_memory=9).seconds == pytest.approx([3, 3, 3])


def test_warm_calls_wait_for_a_worker_where_their_number_is_limited():
    models, every = [1] + [1] * 5, 0.05
    trace = Trace(np.array([0.0, *(10 + every * np.arange(5))]), np.array(models))
    one = simulator.simulate(trace, Fleet(1, 1, calls_at_once=1), TIMES, seed=1)
    assert one.seconds[1:] == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3])
    assert simulator.simulate(trace, Fleet(1, 1), TIMES, seed=1).seconds[1:] == pytest.approx([0.1] * 5)


def test_a_call_goes_to_the_instance_that_holds_its_model_and_a_new_model_to_the_one_with_most_room():
    outcome = run([1, 2, 1, 2, 3, 4], instances=2)
    first, second = outcome.instances[:2]
    assert first != second
    assert outcome.instances[2:4].tolist() == [first, second]
    assert set(outcome.instances[4:]) == {first, second}


def test_loads_are_spread_evenly_over_full_instances_that_have_little_to_do():
    outcome = run([*range(8), *range(100)], instances=4)  # every call is a miss, and none meets another
    assert np.bincount(outcome.instances[8:]).tolist() == [25] * 4


def test_a_hot_model_spreads_to_another_instance():
    outcome = run([1] * 6, every=0.01, instances=2, hot_model_calls=3)
    assert outcome.instances.tolist() == [0, 0, 0, 1, 1, 1]
    assert set(run([1] * 6, every=0.01, instances=2, hot_model_calls=9).instances) == {0}


@pytest.mark.parametrize("instances", [1, 3])
def test_hit_ratios_agree_with_ches_approximation(instances):
    shares = popularity.zipf(600, 0.9)
    trace = traffic.poisson(shares, calls_per_second=2.0, count=40_000, seed=5)
    outcome = simulator.simulate(trace, Fleet(instances, 30), TIMES, seed=5)
    assert outcome.last(30_000).hit_ratio == pytest.approx(che.hit_ratio(shares, 30 * instances), abs=0.03)


def test_started_as_after_a_long_time_a_short_trace_tells_what_a_long_one_does():
    shares = popularity.zipf(2000, 0.8)
    trace = traffic.poisson(shares, calls_per_second=5, count=8000, seed=3)
    outcome = simulator.simulate(trace, Fleet(1, 200), TIMES, seed=3, popularity=shares)
    first, second = outcome.states[:4000] == WARM, outcome.states[4000:] == WARM
    assert np.mean(first) == pytest.approx(np.mean(second), abs=0.03)
    assert outcome.hit_ratio == pytest.approx(che.hit_ratio(shares, 200), abs=0.02)
    empty = simulator.simulate(trace.part(0, 500), Fleet(1, 200), TIMES, seed=3)
    assert empty.hit_ratio < outcome.hit_ratio - 0.1


def test_the_same_seed_gives_the_same_outcome():
    times = ServiceTimes(*(np.linspace(low, 2 * low, 50) for low in (0.1, 1, 3)))
    trace = traffic.poisson(popularity.zipf(50, 1), calls_per_second=5, count=500, seed=3)
    first, again = (simulator.simulate(trace, Fleet(2, 9), times, seed=4) for _ in range(2))
    assert np.array_equal(first.seconds, again.seconds)
    assert first.percentile(99) > first.percentile(50)


def test_a_million_models_and_100_000_calls_a_second_are_simulated_in_seconds():
    shares = popularity.zipf(1_000_000, 0.9)
    trace = traffic.poisson(shares, calls_per_second=100_000, count=50_000, seed=1)
    times = ServiceTimes(*(np.array([seconds]) for seconds in (0.004, 0.02, 0.02)))
    started = time.process_time()
    outcome = simulator.simulate(trace, Fleet(200, 3000), times, seed=1, popularity=shares)
    assert time.process_time() - started < 60  # of a busy machine's; about 6 on a quiet one
    assert outcome.hit_ratio == pytest.approx(che.hit_ratio(shares, 600_000), abs=0.03)


def test_no_calls_have_no_outcome():
    assert len(simulator.simulate(Trace(np.array([]), np.array([], dtype=int)), Fleet(1, 1), TIMES, seed=1).states) == 0


def test_hit_ratios_by_capacity_follow_ches_approximation():
    shares = popularity.zipf(40, 0.8)
    found = simulator.hit_ratios(shares, (5, 20, 40), calls=20_000, seed=1)
    assert found == pytest.approx([che.hit_ratio(shares, capacity) for capacity in (5, 20, 40)], abs=0.02)


def instance(*, calls=0, loaded=0, holds=True, in_flight=0, last_call=0.0):
    """What routing looks at: of the model that is asked for, and of the instance."""
    return holds, calls, loaded, in_flight, last_call


@pytest.mark.parametrize(
    ("instances", "chosen"),
    [
        ([instance(holds=False), instance(holds=True, loaded=5)], 1),  # where the model is
        ([instance(holds=False, loaded=3), instance(holds=False, loaded=2)], 1),  # else where there is most room
        ([instance(holds=False, in_flight=1), instance(holds=False)], 1),
        ([instance(holds=False, last_call=2.0), instance(holds=False, last_call=1.0)], 1),  # which waits the longest
        ([instance(last_call=2.0), instance(last_call=1.0)], 1),
        ([instance(holds=False, last_call=1.0), instance(holds=False, in_flight=1)], 0),
        ([instance(calls=3), instance(holds=False)], 0),  # not yet hot
        ([instance(calls=4), instance(holds=False)], 1),  # hot: it spreads
        ([instance(calls=4), instance(calls=2), instance(holds=False)], 1),  # not as long as a holder has time
        ([instance(calls=9), instance(calls=7)], 1),  # nowhere to spread to
    ],
)
def test_calls_are_routed_by_the_rules_of_local_sagemaker(instances, chosen):
    """The table is that of the emulator's own test of its routing, of instances that are all ready."""
    holds, calls, loaded, in_flight, last_calls = map(np.array, zip(*instances, strict=True))
    simulation = simulator._Simulation(Fleet(len(instances), 9, hot_model_calls=4))
    simulation.loaded, simulation.under_way, simulation.last_calls = loaded, in_flight, last_calls
    simulation.holders[7] = np.flatnonzero(holds).tolist()
    simulation.calls.update({(index, 7): int(calls[index]) for index in simulation.holders[7]})
    assert simulation._choose(7) == chosen
