import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import replay
from helpers.capacity import Trace

BRIGHT = np.full((1, 4, 4, 3), 255, dtype=np.uint8)


class SlowRuntime:
    """A runtime whose calls take a while, and which counts those under way."""

    exceptions = SimpleNamespace(ModelNotReadyException=TimeoutError)

    def __init__(self, seconds):
        self.seconds, self.under_way, self.most, self.called = seconds, 0, 0, []
        self._lock = threading.Lock()

    def invoke_endpoint(self, *, TargetModel, **_):
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.called.append(TargetModel)
        time.sleep(self.seconds)
        with self._lock:
            self.under_way -= 1
        if TargetModel == "broken":
            raise RuntimeError("broken model")
        return {"Body": SimpleNamespace(read=lambda: b"{}")}


def slow_endpoint(runtime):
    boto = SimpleNamespace(client=lambda *_, **__: runtime)
    return SimpleNamespace(name="slow", connection=SimpleNamespace(boto=boto))


def test_calls_do_not_wait_for_earlier_ones():
    runtime = SlowRuntime(0.3)
    trace = Trace(0.02 * np.arange(1, 9), np.arange(8) % 2)
    replayed = replay.run(slow_endpoint(runtime), trace, target_models=["a", "b"], images=BRIGHT)
    assert runtime.most >= 4
    assert sorted(runtime.called) == ["a"] * 4 + ["b"] * 4
    assert replayed.seconds.min() >= 0.3


def test_the_time_that_a_call_waits_for_a_free_connection_counts():
    runtime = SlowRuntime(0.2)
    trace = Trace(np.full(replay.MOST_CALLS_AT_ONCE + 1, 0.01), np.zeros(replay.MOST_CALLS_AT_ONCE + 1, dtype=int))
    assert replay.run(slow_endpoint(runtime), trace, target_models=["a"], images=BRIGHT).seconds.max() >= 0.4


def test_a_call_that_fails_ends_the_traffic_with_its_error():
    runtime = SlowRuntime(0.0)
    trace = Trace(0.01 * np.arange(50), np.arange(50))
    names = ["a"] * 5 + ["broken"] + ["a"] * 44
    with pytest.raises(RuntimeError, match="broken model"):
        replay.run(slow_endpoint(runtime), trace, target_models=names, images=BRIGHT)
    assert len(runtime.called) < 50
