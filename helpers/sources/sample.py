"""The generated sample: images that this project draws, each on demand."""

from functools import partial

import numpy as np

from helpers.display.progress import Step
from helpers.sources.pools import CIFAR_SIZE, DIGIT_SIZE, Pool

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

    draw = getattr(generated_sample, image)
    images = np.empty((len(numbers), size, size, 3), dtype=np.uint8)
    with Step("Drawing the sample", total=len(numbers), unit="images") as step:
        for row, number in enumerate(numbers.tolist()):
            images[row] = draw(number, **options)
            step.advance()
    return images
