"""The source "sample": images that `data/generated_sample` draws, each on demand."""

import contextlib
import gc
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import pool, resource_tracker
from typing import Any

import numpy as np

from helpers.display.progress import Step
from helpers.sources.pools import CIFAR_SIZE, DIGIT_SIZE, Pool

_WORTH_PROCESSES = 500  # images; processes take a second to start

# generated_sample is imported where an image is drawn: most notebooks draw none.


def objects(count: int, *, seed: int) -> Pool:
    """Offer CIFAR-like images."""
    return Pool(np.arange(count) % 10, partial(_draw, image="object_image", size=CIFAR_SIZE, seed=seed))


def hands(count: int, *, seed: int) -> Pool:
    """Offer hand signs of students with ten images each."""
    numbers = np.arange(count)
    read = partial(_draw, image="hand_image", size=DIGIT_SIZE, seed=seed)
    return Pool(numbers % 10, read, students=numbers // 10)


def hands_of_users(users: int, *, per_user: int, seed: int) -> Pool:
    """Offer hand signs of users who show some digits in a way of their own."""
    numbers = np.arange(users * per_user)
    read = partial(_draw, image="user_image", size=DIGIT_SIZE, seed=seed, per_user=per_user)
    return Pool(numbers % 10, read, students=numbers // per_user)


def private_digits(user: int, *, seed: int) -> tuple[int, ...]:
    """Return the digits that a generated user shows in a way of their own."""
    import generated_sample

    return generated_sample.user(user, seed=seed).private_digits


def _draw(numbers: np.ndarray, *, image: str, size: int, **options: int) -> np.ndarray:
    import generated_sample

    draw = partial(getattr(generated_sample, image), **options)
    images = np.empty((len(numbers), size, size, 3), dtype=np.uint8)
    with contextlib.ExitStack() as stack:
        step = stack.enter_context(Step("Drawing the sample", total=len(numbers), unit="images"))
        drawn: Iterator[np.ndarray] = map(draw, numbers.tolist())
        if len(numbers) >= _WORTH_PROCESSES and not _is_script():
            drawn = stack.enter_context(_processes()).imap(draw, numbers.tolist(), chunksize=16)
        for row, drawing in enumerate(drawn):
            images[row] = drawing
            step.advance()
    return images


@contextlib.contextmanager
def _processes() -> Iterator[pool.Pool]:
    """Start a process for each core, and leave none behind.

    With the first of them Python starts a process that cleans up after them and lives as long as this one. It ignores
    SIGTERM, and a Jupyter kernel that ends waits for it in vain, for 2.5 seconds.
    """
    tracker: Any = resource_tracker._resource_tracker  # nothing public ends it
    is_new = tracker._fd is None
    # Ctrl-C reaches all of them; this process alone answers it, and ends the others.
    with multiprocessing.get_context("spawn").Pool(None, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as processes:
        yield processes
    del processes
    # Their locks are registered until they are gone. After an error, its traceback holds them, and the tracker stays.
    gc.collect()
    if is_new:
        tracker._stop()


def _is_script() -> bool:
    """Return whether a script runs, which each new process would run again from its top."""
    main = sys.modules["__main__"]
    return main.__spec__ is None and hasattr(main, "__file__")
