import numpy as np
import pytest
from PIL import Image

from helpers import datasets, users


@pytest.fixture(scope="module")
def people():
    return users.load("sample", seed=3, limit=4)


@pytest.fixture(scope="module")
def students(tmp_path_factory):
    """A folder of thirty photographs of three students, and one more who shows a digit twice."""
    folder = tmp_path_factory.mktemp("hands")
    shown = "0123456789" * 3 + "0012345678"
    for number, digit in enumerate(shown, start=100):
        (folder / digit).mkdir(exist_ok=True)
        Image.new("RGB", (100, 100), (number, 0, 0)).save(folder / digit / f"IMG_{number}.png")
    return folder


def test_generated_users_have_thirty_images_each(people):
    assert people.users == ("user-000", "user-001", "user-002", "user-003")
    assert people.counts == {"train": 80, "validation": 12, "test": 28}
    assert not people.is_real and "Generated sample" in people.source and "private signs" in people.source
    for user in people.users:
        parts = [people.images_of(user, part) for part in datasets.SPLITS]
        assert [len(part) for part in parts] == [20, 3, 7]
        # Each digit is shown twice for training, and once more to choose by or to judge with.
        assert np.bincount(parts[0].labels).tolist() == [2] * 10
        assert sorted([*parts[1].labels, *parts[2].labels]) == list(range(10))


def test_no_image_is_in_two_parts(people):
    images = np.concatenate([getattr(people, part).images for part in datasets.SPLITS])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images) == 120


def test_the_same_seed_gives_the_same_users(people):
    assert users.load("sample", seed=3, limit=4).fingerprint == people.fingerprint
    fewer = users.load("sample", seed=3, limit=2)
    assert np.array_equal(fewer.images_of("user-001", "test").images, people.images_of("user-001", "test").images)


def test_students_who_show_each_digit_once_are_users(students):
    people = users.load(students, seed=3)
    assert people.users == ("user-000", "user-001", "user-002") and people.is_real
    assert people.counts == {"train": 15, "validation": 6, "test": 9}
    for index, user in enumerate(people.users):
        reds = {image[0, 0, 0] for part in datasets.SPLITS for image in people.images_of(user, part).images}
        assert reds == set(range(100 + 10 * index, 110 + 10 * index))
        assert people.private_digits(user) == ()


def test_some_of_the_users_keep_their_images(people):
    some = people.only(["user-001", "user-003"])
    assert some.users == ("user-001", "user-003") and some.counts == {"train": 40, "validation": 6, "test": 14}
    for user in some.users:
        for part in datasets.SPLITS:
            own, expected = some.images_of(user, part), people.images_of(user, part)
            assert np.array_equal(own.images, expected.images) and np.array_equal(own.labels, expected.labels)
    assert some.fingerprint != people.fingerprint


def test_one_image_of_each_digit(people, students):
    assert people.all_digits_of("user-002").shape == (10, 100, 100, 3)
    found = users.load(students).all_digits_of("user-001")
    assert found[:, 0, 0, 0].tolist() == list(range(110, 120))
    assert len(people.private_digits("user-002")) == 3


def test_it_is_stored_as_the_training_job_reads_it(people, tmp_path):
    datasets.save(people, tmp_path)
    assert datasets.read(tmp_path).fingerprint == people.fingerprint
    with np.load(tmp_path / "users.npz", allow_pickle=False) as stored:
        assert stored["names"].tolist() == list(people.users)
        assert np.array_equal(stored["test"], people.indices["test"])


def test_what_cannot_be_is_refused(people, tmp_path):
    with pytest.raises(ValueError, match=r"There is no user-9. The users are user-000 to user-003"):
        people.images_of("user-9", "test")
    with pytest.raises(ValueError, match=r"A limit of 1 users leaves nobody to compare with"):
        users.load("sample", limit=1)
    for number, digit in enumerate("0123456789"):
        (tmp_path / digit).mkdir()
        Image.new("RGB", (100, 100)).save(tmp_path / digit / f"IMG_{number}.png")
    with pytest.raises(ValueError, match=r"Fewer than two students show each digit once"):
        users.load(tmp_path)
