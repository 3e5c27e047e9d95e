"""What is forecast is what a live endpoint then does."""

import itertools

import numpy as np
import pytest

from helpers import load
from helpers.capacity import forecast, traffic
from helpers.capacity.simulator import Fleet
from helpers.endpoint import EndpointError

MOST_ROUNDS = 9


@pytest.fixture(scope="module")
def history(crowded):
    """Every model called once, one of them before all others: the first of an architecture takes seconds."""
    first = traffic.Trace(np.array([0.1]), np.array([0]))
    trace = traffic.joined(first, traffic.sweep(len(crowded.target_models), calls_per_second=10))
    for part in (trace.part(0, 1), trace.part(1, len(trace))):
        load.replay(crowded.endpoint, part, target_models=crowded.target_models, body=crowded.body)
    return trace


def make_rounds(crowded, history, *, fit, calls=400):
    return forecast.rounds(
        crowded.endpoint,
        Fleet(1, fit),
        target_models=crowded.target_models,
        body=crowded.body,
        history=history,
        calls_per_second=40,
        calls=calls,
        seed=3,
    )


def test_hit_ratio_within_a_point_and_p99_within_a_fifth(crowded, history):
    """A busy machine disturbs single rounds; the median of several tells whether the model of the endpoint is right."""
    rounds = []
    for made in itertools.islice(make_rounds(crowded, history, fit=crowded.fit), MOST_ROUNDS):
        rounds.append(made)
        if len(rounds) >= 3 and len(rounds) % 2 and abs(np.median([one.ratio(99) for one in rounds]) - 1) < 0.15:
            break
    predicted, measured = (
        np.mean([getattr(made, name) for made in rounds]) for name in ("predicted_hit_ratio", "measured_hit_ratio")
    )
    print(
        "HITS",
        [made.predicted_hit_ratio - made.measured_hit_ratio for made in rounds],
        "P99",
        [made.ratio(99) for made in rounds],
    )
    assert 0.2 < measured < 0.8  # otherwise every forecast is right
    assert predicted == pytest.approx(measured, abs=0.01)
    assert np.median([made.ratio(99) for made in rounds]) == pytest.approx(1, abs=0.2)


def test_with_another_capacity_the_forecast_is_wrong(crowded, history):
    """The measure can fail: a fleet that is not the endpoint's gives another hit ratio."""
    [made] = itertools.islice(make_rounds(crowded, history, fit=crowded.fit * 2), 1)
    assert made.predicted_hit_ratio - made.measured_hit_ratio > 0.1


def test_metrics_that_do_not_come_are_said_to_be_late(crowded, history, monkeypatch):
    monkeypatch.setattr(forecast, "_METRIC_SECONDS", 0)
    monkeypatch.setattr(type(crowded.endpoint), "metric", lambda *_: {})
    with pytest.raises(EndpointError, match="has counted 0 of 10 calls"):
        next(make_rounds(crowded, history, fit=crowded.fit, calls=10))
