"""The generated sample: images drawn by the project itself, seeded, with no download.

Image number n is always the same for one seed, whichever other images are drawn beside it. It shows class n modulo 10.
"""

import numpy as np

from generated_sample.hands import User, draw_hand, invent_student, invent_user
from generated_sample.objects import draw_object

# Keep the kinds of images, and students from their images, apart for one and the same seed.
_OBJECTS, _STUDENTS, _HANDS, _USERS, _SIGNS = 1, 2, 3, 4, 5


def object_image(number: int, *, seed: int) -> np.ndarray:
    """Draw a CIFAR-like image, uint8 (32, 32, 3), RGB."""
    return draw_object(number % 10, np.random.default_rng([seed, _OBJECTS, number]))


def hand_image(number: int, *, seed: int) -> np.ndarray:
    """Draw a hand sign, uint8 (100, 100, 3), RGB; ten consecutive images show the hand of one student."""
    student = invent_student(np.random.default_rng([seed, _STUDENTS, number // 10]))
    return draw_hand(number % 10, student, np.random.default_rng([seed, _HANDS, number]))


def user(number: int, *, seed: int) -> User:
    """Return one of the users whom `user_image` draws."""
    return invent_user(np.random.default_rng([seed, _USERS, number]))


def user_image(number: int, *, per_user: int, seed: int) -> np.ndarray:
    """Draw a hand sign of a user who shows some digits in a way of their own, uint8 (100, 100, 3), RGB.

    `per_user` consecutive images, a multiple of 10, show the hand of one user.
    """
    who = user(number // per_user, seed=seed)
    return draw_hand(who.signs[number % 10], who.student, np.random.default_rng([seed, _SIGNS, number]))
