"""Users with a few images each, for models that belong to one user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers import datasets
from helpers.datasets import SEED, SPLITS, Dataset, Split
from helpers.sources import provenance, sample
from helpers.sources.pools import DIGITS, Pool

# A hundred generated users, and one who comes later.
_COUNT, _PER_USER = 101, 30
# Validation and test images of each user; the others are for training. A student has ten images in all.
_OF_A_USER, _OF_A_STUDENT = (3, 7), (2, 3)
_GENERATED = (
    "Generated sample: hand signs of invented users, drawn by this project, not photographs. Each has three private "
    "signs, which may mean another digit to another user."
)


@dataclass(frozen=True, eq=False)
class UserDataset(Dataset):
    """Images of hand signs, and whose each of them is.

    For each part, `indices` has int64 (N,): the place in `users` of each image's user.
    """

    users: tuple[str, ...]
    indices: dict[str, np.ndarray]

    @property
    def arrays(self) -> dict[str, dict[str, np.ndarray]]:
        """The arrays of each file; `users.npz` says whose the images are."""
        return super().arrays | {"users": {"names": np.array(self.users), **self.indices}}

    def images_of(self, user: str, part: str) -> Split:
        """Return one user's images of a part, "train", "validation" or "test", in the order of the digits.

        Raises:
            ValueError: There is no such user.
        """
        if user not in self.users:
            raise ValueError(f"There is no {user}. The users are {self.users[0]} to {self.users[-1]}.")
        split: Split = getattr(self, part)
        places = np.flatnonzero(self.indices[part] == self.users.index(user))
        return split.take(places[np.argsort(split.labels[places], kind="stable")])

    def all_digits_of(self, user: str) -> np.ndarray:
        """Return one image of each digit that the user shows, uint8 (10, H, W, 3)."""
        parts = [self.images_of(user, part) for part in SPLITS]
        labels = np.concatenate([part.labels for part in parts])
        first_of_each = np.unique(labels, return_index=True)[1]
        return np.concatenate([part.images for part in parts])[first_of_each]

    def private_digits(self, user: str) -> tuple[int, ...]:
        """Return the digits that a generated user shows in a way of their own; nobody knows that of a student."""
        return () if self.is_real else sample.private_digits(int(user.rpartition("-")[2]), seed=self.seed)

    def only(self, users: Sequence[str]) -> "UserDataset":
        """Return the data set of some of the users."""
        wanted = np.isin(self.users, users)
        new_place = np.cumsum(wanted) - 1
        kept = {part: np.flatnonzero(wanted[self.indices[part]]) for part in SPLITS}
        return replace(
            self,
            users=tuple(user for user in self.users if user in users),
            indices={part: new_place[self.indices[part][kept[part]]] for part in SPLITS},
            **{part: getattr(self, part).take(kept[part]) for part in SPLITS},
        )


def load(source: str | Path = "auto", *, seed: int = SEED, limit: int | None = None) -> UserDataset:
    """Load the students of the Sign Language Digits with their ten images each, or generated users with thirty.

    A student shows each digit once: five images are for training, two for validation and three for testing. A generated
    user shows each digit three times: all of the first two rounds are for training, three images of the last one for
    validation and seven for testing. Students who do not show each digit once are left out.

    Args:
        source: "auto", "download", "sample" or a folder; it and its errors are those of `datasets.load_sign_language`.
        seed: Seed of the division, and of the generated users.
        limit: Most users, at least two.
    """
    if limit is not None and limit < 2:
        raise ValueError(f"A limit of {limit} users leaves nobody to compare with. Raise it to 2 or more.")
    found = provenance.sign_language(source, seed=seed, by_student=True)
    if not found.is_real:
        pool = sample.hands_of_users(_COUNT, per_user=_PER_USER, seed=seed)
        found = replace(found, title="Hand signs of invented users (generated)", source=_GENERATED, images=pool)
    numbers = _complete(found.images)[:limit]
    counts = _OF_A_STUDENT if found.is_real else _OF_A_USER
    parts = np.stack([_divide(numbers.shape[1], *counts, seed=[seed, who]) for who in range(len(numbers))])
    places = {part: np.nonzero(parts == index) for index, part in enumerate(SPLITS)}
    splits = datasets.take(found.images, *(numbers[where] for where in places.values()))
    return UserDataset(
        name="personal",
        title=found.title,
        source=found.source,
        is_real=found.is_real,
        class_names=found.class_names,
        split="of each user's images",
        seed=seed,
        users=tuple(f"user-{who:03}" for who in range(len(numbers))),
        indices={part: where[0] for part, where in places.items()},
        **dict(zip(SPLITS, splits, strict=True)),
    )


def _complete(pool: Pool) -> np.ndarray:
    """Return the numbers of the images of everyone who shows each digit equally often, int64 (U, images of one)."""
    assert pool.students is not None, "images that were asked for by student come with their students"
    table = np.zeros((pool.students.max() + 1, len(DIGITS)), dtype=np.int64)
    np.add.at(table, (pool.students, pool.labels), 1)
    rounds = int(np.median(table))
    complete = np.flatnonzero((table == rounds).all(axis=1))
    if not rounds or len(complete) < 2:
        raise ValueError('Fewer than two students show each digit once. Use a folder with more images, or "sample".')
    return np.stack([np.flatnonzero(pool.students == who) for who in complete])


def _divide(count: int, validation: int, test: int, *, seed: list[int]) -> np.ndarray:
    """Return the part of each of one user's images: 0 to train on, 1 to validate, 2 to test."""
    last = np.repeat([0, 1, 2], [len(DIGITS) - validation - test, validation, test])
    return np.concatenate([np.zeros(count - len(last), dtype=np.int64), np.random.default_rng(seed).permutation(last)])
