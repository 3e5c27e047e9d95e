"""Alarms follow the tables of the CloudWatch user guide ("How alarm state is evaluated when data is missing")."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from local_sagemaker.services import alarms

START = datetime(2026, 1, 1, 12, 0)


def alarm(*, periods=3, needed=None, missing=None, state="OK", reason="before"):
    """An alarm above 10, which keeps what it is told."""
    one = SimpleNamespace(
        comparison_operator="GreaterThanThreshold",
        threshold=10.0,
        evaluation_periods=periods,
        datapoints_to_alarm=needed,
        treat_missing_data=missing,
        state_value=state,
        state_reason=reason,
        statistic="Average",
        extended_statistic=None,
    )

    def update_state(reason, data, state):
        one.state_value, one.state_reason, one.state_reason_data = state, reason, data

    one.update_state = update_state
    return one


def evaluate(one, points):
    """Evaluate an alarm on points: X breaches, 0 does not, and - is missing."""
    minutes = [START + timedelta(minutes=minute) for minute in range(len(points))]
    values = {at: {"X": 11.0, "0": 1.0}[point] for at, point in zip(minutes, points, strict=True) if point != "-"}
    alarms.evaluate(one, values, 60, START, START + timedelta(minutes=len(points)))
    return one


OK, ALARM, NO_DATA, SAME = "OK", "ALARM", "INSUFFICIENT_DATA", "same"


@pytest.mark.parametrize(
    ("needed", "points", "missing", "ignore", "breaching", "not_breaching"),
    [
        (3, "0-X-X", OK, OK, OK, OK),
        (3, "0----", OK, OK, OK, OK),
        (3, "-----", NO_DATA, SAME, ALARM, OK),
        (3, "0XX-X", ALARM, ALARM, ALARM, ALARM),
        (3, "----X", NO_DATA, SAME, ALARM, OK),
        (3, "X----", ALARM, SAME, ALARM, OK),
        (2, "0-X-X", ALARM, ALARM, ALARM, ALARM),
        (2, "00X0X", ALARM, ALARM, ALARM, ALARM),
        (2, "0-X--", OK, OK, ALARM, OK),
        (2, "----0", OK, OK, ALARM, OK),
        (2, "----X", NO_DATA, SAME, ALARM, OK),
    ],
)
def test_missing_data_counts_as_in_the_guides_tables(needed, points, missing, ignore, breaching, not_breaching):
    expected = {"missing": missing, "ignore": ignore, "breaching": breaching, "notBreaching": not_breaching}
    for before in (OK, ALARM, NO_DATA):
        for treatment, state in expected.items():
            one = alarm(needed=needed, missing=treatment, state=before)
            assert evaluate(one, points).state_value == (before if state is SAME else state)


@pytest.mark.parametrize(
    ("points", "missing", "state", "reason"),
    [
        (
            "00X",
            None,
            ALARM,
            "Threshold Crossed: 1 out of the last 1 datapoints [11.0 (01/01/26 12:02:00)] was greater than the "
            "threshold (10.0).",
        ),
        (
            "XX0",
            None,
            OK,
            "Threshold Crossed: 1 out of the last 1 datapoints [1.0 (01/01/26 12:02:00)] was not greater than the "
            "threshold (10.0).",
        ),
        ("---", None, NO_DATA, "Insufficient Data: 1 datapoint was unknown."),
        (
            "---",
            "breaching",
            ALARM,
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
            "[Breaching].",
        ),
    ],
)
def test_a_state_has_its_reason(points, missing, state, reason):
    one = evaluate(alarm(periods=1, missing=missing, state="none"), points)
    assert (one.state_value, one.state_reason) == (state, reason)


def test_a_state_that_stays_keeps_its_reason():
    assert evaluate(alarm(state=ALARM, reason="the first breach"), "XXX").state_reason == "the first breach"


def test_a_state_set_by_hand_stays_for_its_minute():
    one = alarm()
    one.state_updated_timestamp = START + timedelta(seconds=10)
    assert not alarms.is_due(one, START + timedelta(seconds=59))
    assert alarms.is_due(one, START + timedelta(seconds=60))
