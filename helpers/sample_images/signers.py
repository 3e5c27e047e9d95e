"""Signers: people who show some digits in a way of their own, as families and schools do.

Two of them may use one and the same hand shape for different digits. Whoever does not know the person cannot tell
which digit is meant, however clear the picture.
"""

from dataclasses import dataclass

import numpy as np

from helpers.sample_images.hands import CLASS_NAMES, FREE_SIGNS, Student, invent_student

PRIVATE_COUNT = 3


@dataclass(frozen=True)
class Signer:
    """A student and the signs that they use.

    Attributes:
        student: Hand, sleeve and background.
        signs: The sign that stands for each digit 0-9: the digit's own, or one of `hands.FREE_SIGNS`.
    """

    student: Student
    signs: tuple[int, ...]

    @property
    def private_digits(self) -> tuple[int, ...]:
        """Digits that the signer shows in a way of their own."""
        return tuple(digit for digit, sign in enumerate(self.signs) if sign != digit)


def invent_signer(rng: np.random.Generator) -> Signer:
    """Make up a signer with `PRIVATE_COUNT` private signs.

    Args:
        rng: Source of randomness; the same state gives the same signer.

    Returns:
        The signer.
    """
    student = invent_student(rng)
    signs = np.arange(len(CLASS_NAMES))
    digits = rng.choice(len(signs), PRIVATE_COUNT, replace=False)
    signs[digits] = rng.choice(FREE_SIGNS, PRIVATE_COUNT, replace=False)
    return Signer(student, tuple(signs.tolist()))
