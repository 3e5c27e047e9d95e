"""Users with a few images each, for models that belong to one user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers import datasets, sample_images
from helpers.datasets import SEED, SPLITS, Dataset, Split
from helpers.sample_images import hands
from helpers.sources import provenance
from helpers.sources.provenance import Pool

NAME = "personal"
INDICES = "users.npz"
# A hundred generated users, and one who comes later.
_SIGNERS, _PER_SIGNER = 101, 30
# Validation and test images of each user; the others are for training. A student has ten images in all.
_OF_A_SIGNER, _OF_A_STUDENT = (3, 7), (2, 3)
_GENERATED = (
    "Generated sample: hand signs of invented people, drawn by this project, not photographs. Each has three private "
    "signs, which may mean another digit to somebody else."
)


@dataclass(frozen=True, eq=False)
class UserDataset(Dataset):
    """Images of hand signs, and whose each of them is.

    Attributes:
        users: Name of each user, such as "user-042".
        indices: For each part, int64 array (N,): the place in `users` of each image's user.
    """

    users: tuple[str, ...]
    indices: dict[str, np.ndarray]

    @property
    def record(self) -> dict[str, Any]:
        """What `dataset.json` says, as plain values."""
        return super().record | {"user_count": len(self.users)}

    def images_of(self, user: str, part: str) -> Split:
        """Return one user's images of a part, "train", "validation" or "test", in the order of the digits.

        Raises:
            ValueError: There is no such user.
        """
        if user not in self.users:
            raise ValueError(f"There is no {user}. The users are {self.users[0]} to {self.users[-1]}.")
        split: Split = getattr(self, part)
        places = np.flatnonzero(self.indices[part] == self.users.index(user))
        places = places[np.argsort(split.labels[places], kind="stable")]
        return Split(images=split.images[places], labels=split.labels[places])

    def all_digits_of(self, user: str) -> np.ndarray:
        """Return one image of each digit that the user shows, uint8 (10, H, W, 3)."""
        parts = [self.images_of(user, part) for part in SPLITS]
        labels = np.concatenate([part.labels for part in parts])
        first_of_each = np.unique(labels, return_index=True)[1]
        return np.concatenate([part.images for part in parts])[first_of_each]

    def private_digits(self, user: str) -> tuple[int, ...]:
        """Return the digits that a generated user shows in a way of their own; nobody knows that of a student."""
        return () if self.is_real else sample_images.signer(int(user.rpartition("-")[2]), seed=self.seed).private_digits

    def only(self, users: Sequence[str]) -> "UserDataset":
        """Return the data set of some of the users."""
        wanted = np.array([user in users for user in self.users])
        kept = {part: wanted[self.indices[part]] for part in SPLITS}
        new_place = np.cumsum(wanted) - 1
        train, validation, test = (
            Split(getattr(self, part).images[kept[part]], getattr(self, part).labels[kept[part]]) for part in SPLITS
        )
        return replace(
            self,
            users=tuple(user for user in self.users if user in users),
            indices={part: new_place[self.indices[part][kept[part]]] for part in SPLITS},
            train=train,
            validation=validation,
            test=test,
        )


def load(source: str | Path = "auto", *, seed: int = SEED, limit: int | None = None) -> UserDataset:
    """Load the students of the Sign Language Digits with their ten images each, or generated users with thirty.

    A student shows each digit once: five images are for training, two for validation and three for testing. A generated
    user shows each digit three times: all of the first two rounds are for training, three images of the last one for
    validation and seven for testing.

    Args:
        source: "auto", "download", "sample" or a folder, as for `datasets.load_sign_language`.
        seed: Seed of the division, and of the generated users.
        limit: Most users, at least two.

    Returns:
        The images of all users; students who do not show each digit once are left out.

    Raises:
        ConnectionError: If the source is "download" and the download fails.
        FileNotFoundError: If the folder does not exist.
        ValueError: If the source or the limit is not understood, or the folder is not of the expected form.
    """
    if limit is not None and limit < 2:
        raise ValueError(f"A limit of {limit} users leaves nobody to compare with. Raise it to 2 or more.")
    origin = provenance.sign_language(source, seed=seed, by_student=True)
    pool, source_text = (origin.images, origin.source) if origin.is_real else (_signers(seed), _GENERATED)
    assert pool.students is not None, "images that were asked for by student come with their students"
    numbers = _complete(pool.students, pool.labels)[:limit]
    per_user = numbers.shape[1]
    counts = _OF_A_STUDENT if origin.is_real else _OF_A_SIGNER
    parts = np.stack([_divide(per_user, *counts, np.random.default_rng([seed, who])) for who in range(len(numbers))])
    places = {part: np.nonzero(parts == index) for index, part in enumerate(SPLITS)}
    train, validation, test = datasets.take(pool, *(numbers[where] for where in places.values()))
    return UserDataset(
        name=NAME,
        title=origin.title if origin.is_real else "Hand signs of invented people (generated)",
        source=source_text,
        is_real=origin.is_real,
        class_names=hands.CLASS_NAMES,
        split="of each user's images",
        seed=seed,
        users=tuple(f"user-{who:03}" for who in range(len(numbers))),
        indices={part: where[0] for part, where in places.items()},
        train=train,
        validation=validation,
        test=test,
    )


def save(users: UserDataset, folder: str | Path) -> Path:
    """Write the images as `datasets.save` does, and `users.npz` beside them: whose they are.

    Args:
        users: What to write.
        folder: Where; made if missing.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / INDICES, names=np.array(users.users), **users.indices)  # type: ignore[arg-type]  # no part is called allow_pickle
    return datasets.save(users, folder)


def _signers(seed: int) -> Pool:
    """Offer the generated users' images, drawn when they are taken."""
    numbers = np.arange(_SIGNERS * _PER_SIGNER)
    return Pool(
        labels=numbers % len(hands.CLASS_NAMES),
        read=lambda wanted: sample_images.signer_images(wanted, per_signer=_PER_SIGNER, seed=seed),
        students=numbers // _PER_SIGNER,
    )


def _complete(students: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the numbers of the images of everyone who shows each digit equally often, int64 (U, images of one)."""
    table = np.zeros((students.max() + 1, len(hands.CLASS_NAMES)), dtype=np.int64)
    np.add.at(table, (students, labels), 1)
    rounds = int(np.median(table))
    complete = np.flatnonzero((table == rounds).all(axis=1))
    if not rounds or len(complete) < 2:
        raise ValueError('Fewer than two students show each digit once. Use a folder with more images, or "sample".')
    return np.stack([np.flatnonzero(students == who) for who in complete])


def _divide(count: int, validation: int, test: int, rng: np.random.Generator) -> np.ndarray:
    """Return the part of each of one user's images: 0 to train on, 1 to validate, 2 to test."""
    last = np.repeat([0, 1, 2], [len(hands.CLASS_NAMES) - validation - test, validation, test])
    return np.concatenate([np.zeros(count - len(last), dtype=np.int64), rng.permutation(last)])
