"""The generated sample: images that this project draws, each on demand."""

from collections.abc import Callable
from functools import partial

import numpy as np

from helpers.display.progress import Step
from helpers.sources.pools import CIFAR_SIZE, DIGIT_SIZE, Pool

# generated_sample is imported where an image is drawn: most notebooks draw none.


def objects(count: int, *, seed: int) -> Pool:
    """Offer CIFAR-like images."""

    def read(numbers: np.ndarray) -> np.ndarray:
        from generated_sample import object_image

        return _draw(numbers, CIFAR_SIZE, partial(object_image, seed=seed))

    return Pool(np.arange(count) % 10, read)


def hands(count: int, *, seed: int) -> Pool:
    """Offer hand signs of students with ten images each."""

    def read(numbers: np.ndarray) -> np.ndarray:
        from generated_sample import hand_image

        return _draw(numbers, DIGIT_SIZE, partial(hand_image, seed=seed))

    return Pool(np.arange(count) % 10, read, students=np.arange(count) // 10)


def hands_of_users(users: int, *, per_user: int, seed: int) -> Pool:
    """Offer hand signs of users who show some digits in a way of their own."""

    def read(numbers: np.ndarray) -> np.ndarray:
        from generated_sample import user_image

        return _draw(numbers, DIGIT_SIZE, partial(user_image, per_user=per_user, seed=seed))

    numbers = np.arange(users * per_user)
    return Pool(numbers % 10, read, students=numbers // per_user)


def private_digits(user: int, *, seed: int) -> tuple[int, ...]:
    """Return the digits that a generated user shows in a way of their own."""
    import generated_sample

    return generated_sample.user(user, seed=seed).private_digits


def _draw(numbers: np.ndarray, size: int, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    images = np.empty((len(numbers), size, size, 3), dtype=np.uint8)
    with Step("Drawing the sample", total=len(numbers), unit="images") as step:
        for row, number in enumerate(numbers.tolist()):
            images[row] = draw(number)
            step.advance()
    return images
