"""The generated sample: pictures drawn by the project itself, seeded, with no download.

Picture number n is always the same for one seed, whichever other pictures are drawn beside it.
"""

from collections.abc import Callable

import numpy as np

from helpers.progress import Step
from helpers.sample_images.hands import draw_hand, invent_student
from helpers.sample_images.objects import draw_object
from helpers.sample_images.signers import Signer, invent_signer

IMAGES_PER_STUDENT = 10

# Keep the two kinds of pictures, and students from their pictures, apart for one and the same seed.
_OBJECTS, _STUDENTS, _HANDS, _SIGNERS, _SIGNS = 1, 2, 3, 4, 5


def object_images(numbers: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw CIFAR-like pictures.

    Args:
        numbers: int array (N,), which pictures; number n shows class n modulo 10.
        seed: Seed of the whole set.

    Returns:
        uint8 array (N, 32, 32, 3), RGB.
    """
    return _draw(numbers, 32, lambda number: draw_object(number % 10, np.random.default_rng([seed, _OBJECTS, number])))


def hand_images(numbers: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw hand signs.

    Args:
        numbers: int array (N,), which pictures; number n shows digit n modulo 10, and ten consecutive
            pictures show the hand of one student, n // 10.
        seed: Seed of the whole set.

    Returns:
        uint8 array (N, 100, 100, 3), RGB.
    """

    def draw(number: int) -> np.ndarray:
        who, digit = divmod(number, IMAGES_PER_STUDENT)
        student = invent_student(np.random.default_rng([seed, _STUDENTS, who]))
        return draw_hand(digit, student, np.random.default_rng([seed, _HANDS, number]))

    return _draw(numbers, 100, draw)


def signer(who: int, *, seed: int) -> Signer:
    """Return one of the people whom `signer_images` draws."""
    return invent_signer(np.random.default_rng([seed, _SIGNERS, who]))


def signer_images(numbers: np.ndarray, *, per_signer: int, seed: int) -> np.ndarray:
    """Draw hand signs of people who show some digits in a way of their own.

    Args:
        numbers: int array (N,), which pictures; number n shows digit n modulo 10, and `per_signer` consecutive
            pictures show the hand of one person, n // per_signer.
        per_signer: Pictures of one person, a multiple of 10.
        seed: Seed of the whole set.

    Returns:
        uint8 array (N, 100, 100, 3), RGB.
    """

    def draw(number: int) -> np.ndarray:
        person = signer(number // per_signer, seed=seed)
        rng = np.random.default_rng([seed, _SIGNS, number])
        return draw_hand(person.signs[number % 10], person.student, rng)

    return _draw(numbers, 100, draw)


def _draw(numbers: np.ndarray, size: int, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    images = np.empty((len(numbers), size, size, 3), dtype=np.uint8)
    with Step("Drawing the sample", total=len(numbers), unit="images") as step:
        for row, number in enumerate(numbers.tolist()):
            images[row] = draw(number)
            step.advance()
    return images
