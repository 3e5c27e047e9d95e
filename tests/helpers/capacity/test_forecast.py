"""What is forecast is what a live endpoint then does."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from helpers import replay
from helpers.capacity import forecast, popularity, simulator
from helpers.capacity.simulator import Fleet
from helpers.endpoint import EndpointError

MOST_ROUNDS = 9
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def measured(crowded):
    """The times of calls by the state of their model, and the calls that they were measured with."""
    return replay.three_states(
        crowded.endpoint, target_models=crowded.target_models, body=crowded.body, calls_per_second=12
    )


@pytest.fixture
def history(measured):
    return measured[1]


def test_a_call_takes_longest_when_its_model_is_cold_and_shortest_when_it_is_warm(crowded, measured):
    times, calls = measured
    assert np.median(times.cold) > np.median(times.disk) > np.median(times.warm)
    outcome = simulator.simulate(calls, Fleet(1, crowded.fit), times, seed=0)
    assert np.bincount(outcome.states).tolist() == [48, 48, 48]
    counted = crowded.endpoint.metric("ModelCacheHit")
    assert (counted["SampleCount"], counted["Sum"]) == (3 * 48, 48)
    since = datetime.now(UTC) - timedelta(minutes=10)
    assert crowded.endpoint.loaded_models(since=since) == crowded.fit


def make_rounds(crowded, history, *, fit, calls=400, count=1):
    return forecast.rounds(
        crowded.endpoint,
        Fleet(1, fit),
        target_models=crowded.target_models,
        body=crowded.body,
        history=history,
        calls_per_second=30,
        calls=calls,
        count=count,
        seed=3,
    )


def test_hit_ratio_within_a_point_and_p99_within_a_fifth(crowded, history):
    """A busy machine disturbs single rounds; the median of several tells whether the model of the endpoint is right."""
    rounds = []
    for made in make_rounds(crowded, history, fit=crowded.fit, count=MOST_ROUNDS):
        rounds.append(made)
        found = forecast.summary(rounds)
        missed = abs(found.predicted_hit_ratio - found.measured_hit_ratio)
        if len(rounds) >= 3 and len(rounds) % 2 and missed < 0.01 and abs(found.p99_ratio - 1) < 0.2:
            break
    assert 0.2 < found.measured_hit_ratio < 0.8  # otherwise every forecast is right
    assert missed < 0.01
    assert found.p99_ratio == pytest.approx(1, abs=0.2)
    assert found.middle.ratio(50) == pytest.approx(1, abs=0.4)


def test_with_another_capacity_the_forecast_is_wrong(crowded, history):
    """The measure can fail: a fleet that is not the endpoint's gives another hit ratio."""
    [made] = make_rounds(crowded, history, fit=crowded.fit * 2, calls=200)
    assert made.predicted_hit_ratio - made.measured_hit_ratio > 0.1


def test_metrics_that_do_not_come_are_said_to_be_late(crowded, history, monkeypatch):
    monkeypatch.setattr(forecast, "_METRIC_SECONDS", 0)
    monkeypatch.setattr(type(crowded.endpoint), "metric", lambda *_: {})
    with pytest.raises(EndpointError, match="has counted 0 of 144 calls"):
        next(make_rounds(crowded, history, fit=crowded.fit, calls=10))


def test_a_summary_is_not_moved_by_one_disturbed_round():
    def one(slow):
        return forecast.Round(0.5, 0.6, np.full(10, 0.1), np.full(5, 0.1 * slow))

    found = forecast.summary([one(0.1), one(30), one(1)])
    assert found.p99_ratio == pytest.approx(1)
    assert (found.predicted_hit_ratio, found.measured_hit_ratio) == (0.5, pytest.approx(0.6))
    assert len(found.middle.predicted) == 10


def test_the_popularity_of_both_kinds_together_is_their_mean():
    mixed = forecast.mixed_popularity(10)
    assert mixed.sum() == pytest.approx(1)
    assert popularity.zipf(10, 0.3)[0] < mixed[0] < popularity.zipf(10, 1.1)[0]
