"""Users who show some digits in a way of their own, as families and schools do.

Two of them may use one and the same hand shape for different digits. Whoever does not know the user cannot tell which
digit is meant, however clear the image.
"""

from dataclasses import dataclass

import numpy as np

from generated_sample.hands import FREE_SIGNS, Student, invent_student

PRIVATE_COUNT = 3


@dataclass(frozen=True)
class User:
    """A student and the signs that they use."""

    student: Student  # hand, sleeve and background
    signs: tuple[int, ...]  # the sign that stands for each digit 0-9: the digit's own, or one of `hands.FREE_SIGNS`

    @property
    def private_digits(self) -> tuple[int, ...]:
        """Digits that the user shows in a way of their own."""
        return tuple(digit for digit, sign in enumerate(self.signs) if sign != digit)


def invent_user(rng: np.random.Generator) -> User:
    """Make up a user with `PRIVATE_COUNT` private signs; the same state of `rng` gives the same user."""
    student = invent_student(rng)
    signs = np.arange(10)
    digits = rng.choice(len(signs), PRIVATE_COUNT, replace=False)
    signs[digits] = rng.choice(FREE_SIGNS, PRIVATE_COUNT, replace=False)
    return User(student, tuple(signs.tolist()))
