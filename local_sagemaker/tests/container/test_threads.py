import asyncio
import logging
import threading
import weakref

import pytest
from clients import eventually

from local_sagemaker.container.threads import Threads

SECONDS = 30


@pytest.fixture
def threads():
    return Threads(3, name="test")


def do(threads, *works):
    """Have some work done and return what each told, in the order of telling."""
    told, done = [], threading.Semaphore(0)

    def wrap(work):
        def compute():
            result = work()
            return lambda: (told.append(result), done.release())

        return compute

    for work in works:
        threads.submit(wrap(work))
    for _ in works:
        assert done.acquire(timeout=SECONDS)
    return told


def test_work_is_done_in_another_thread_and_told_from_there(threads):
    assert do(threads, lambda: threading.current_thread().name) == ["test-1"]


def test_one_call_after_the_other_needs_one_thread(threads):
    names = [name for _ in range(200) for name in do(threads, lambda: threading.current_thread().name)]
    assert set(names) == {"test-1"}
    assert len(threads) == 1


def test_the_thread_that_worked_last_works_next(threads):
    barrier = threading.Barrier(3, timeout=SECONDS)
    do(threads, *[barrier.wait] * 3)
    (last,) = do(threads, lambda: threading.current_thread().name)
    assert do(threads, lambda: threading.current_thread().name) == [last]


def test_there_are_never_more_threads_and_the_rest_waits_in_order(threads):
    start = threading.Event()
    barrier = threading.Barrier(4, timeout=SECONDS)  # three threads and this one
    order = []

    def hold():
        barrier.wait()
        start.wait(SECONDS)

    holding = threading.Thread(
        target=do, args=(threads, *[hold] * 3, *[lambda n=n: order.append(n) for n in range(50)])
    )
    holding.start()
    barrier.wait()
    assert len(threads) == 3
    assert order == []
    start.set()
    holding.join(SECONDS)
    assert sorted(order) == list(range(50))
    assert len(threads) == 3


def test_a_thread_survives_what_work_or_telling_raises(threads, caplog):
    with caplog.at_level(logging.CRITICAL):
        threads.submit(lambda: 1 / 0)
        threads.submit(lambda: lambda: 1 / 0)
        for _ in range(20):
            assert do(threads, lambda: 5) == [5]
    assert len(threads) <= 3


def test_work_that_is_done_is_forgotten(threads):
    class Model:
        pass

    gone = threading.Event()
    model = Model()
    weakref.finalize(model, gone.set)
    do(threads, lambda model=model: None)
    del model
    assert gone.wait(SECONDS)


async def test_in_an_event_loop_a_function_returns_and_raises_as_it_does_alone(threads):
    assert await threads.run(pow, 2, 5) == 32
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)


async def test_the_end_of_a_call_is_told_although_nobody_waits_for_it_any_more(threads):
    go_on, told = threading.Event(), asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await threads.run(go_on.wait, ended=told.set)
    assert not told.is_set()
    go_on.set()
    await asyncio.wait_for(told.wait(), SECONDS)


def test_no_answer_is_written_to_the_log_if_it_reaches_nobody(threads, caplog):
    loop = asyncio.new_event_loop()
    started, closed = threading.Event(), threading.Event()

    def answer():
        started.set()
        closed.wait(SECONDS)
        return "the answer"

    async def ask():
        threads.run(answer, ended=lambda: None)

    loop.run_until_complete(ask())
    assert started.wait(SECONDS)
    loop.close()
    with caplog.at_level(logging.ERROR):
        closed.set()
        eventually(lambda: caplog.text)
    assert "RuntimeError: Event loop is closed" in caplog.text
    assert "the answer" not in caplog.text
