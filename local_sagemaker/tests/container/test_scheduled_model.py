import asyncio
import os
import threading

import pytest

from local_sagemaker.container.scheduled_model import ScheduledModel
from local_sagemaker.container.threads import Threads


class Counted:
    """A servable that tells how many predictions were computed at the same time."""

    def __init__(self):
        self.most = self._now = 0
        self._lock = threading.Lock()
        self.gate = threading.Event()

    def predict(self, body):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        assert self.gate.wait(30)
        with self._lock:
            self._now -= 1
        return body


@pytest.fixture
def servable():
    return Counted()


async def test_as_many_predictions_are_computed_at_once_as_there_are_cores_and_threads_are_left_to_others(servable):
    wanted = min(max(os.cpu_count(), 2), 8)
    threads = Threads(16, name="test")
    model = ScheduledModel(servable, threads=threads, batching=None)
    calls = [asyncio.create_task(model.answer("predict", bytes([number]))) for number in range(2 * wanted)]
    while servable.most < wanted:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # in which more could begin
    other = asyncio.Event()
    threads.run(int, ended=other.set)
    await asyncio.wait_for(other.wait(), 30)
    servable.gate.set()
    assert await asyncio.gather(*calls) == [bytes([number]) for number in range(2 * wanted)]
    assert servable.most == wanted
