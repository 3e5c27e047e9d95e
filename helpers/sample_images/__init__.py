"""The generated sample: pictures drawn by the project itself, seeded, with no download.

Picture number n is always the same for one seed, whichever other pictures are drawn beside it.
"""

import numpy as np
from tqdm.auto import tqdm

from helpers.sample_images.hands import draw_hand, invent_student
from helpers.sample_images.objects import draw_object

IMAGES_PER_STUDENT = 10

# Keep the two kinds of pictures, and students from their pictures, apart for one and the same seed.
_OBJECTS, _STUDENTS, _HANDS = 1, 2, 3


def object_images(numbers: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw CIFAR-like pictures.

    Args:
        numbers: int array (N,), which pictures; number n shows class n modulo 10.
        seed: Seed of the whole set.

    Returns:
        uint8 array (N, 32, 32, 3), RGB.
    """
    images = np.empty((len(numbers), 32, 32, 3), dtype=np.uint8)
    for row, number in enumerate(_progress(numbers)):
        images[row] = draw_object(number % 10, np.random.default_rng([seed, _OBJECTS, number]))
    return images


def hand_images(numbers: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw hand signs.

    Args:
        numbers: int array (N,), which pictures; number n shows digit n modulo 10, and ten consecutive
            pictures show the hand of one student, n // 10.
        seed: Seed of the whole set.

    Returns:
        uint8 array (N, 100, 100, 3), RGB.
    """
    images = np.empty((len(numbers), 100, 100, 3), dtype=np.uint8)
    for row, number in enumerate(_progress(numbers)):
        who, digit = divmod(number, IMAGES_PER_STUDENT)
        student = invent_student(np.random.default_rng([seed, _STUDENTS, who]))
        images[row] = draw_hand(digit, student, np.random.default_rng([seed, _HANDS, number]))
    return images


def _progress(numbers: np.ndarray) -> tqdm:
    # A handful is drawn before a progress bar is of use.
    return tqdm(numbers.tolist(), desc="Drawing the sample", unit=" images", disable=len(numbers) < 500)
