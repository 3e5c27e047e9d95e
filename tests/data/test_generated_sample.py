import multiprocessing
import subprocess
import sys
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import generated_sample
from generated_sample import __main__ as command
from generated_sample import hand_image, hands, object_image, user_image
from helpers.sources import pools, sample


def draw(image, numbers, **settings) -> np.ndarray:
    return np.stack([image(int(number), **settings) for number in numbers])


@pytest.mark.parametrize(("image", "size"), [(object_image, 32), (hand_image, 100)])
def test_shape_and_type(image, size):
    images = draw(image, np.arange(10), seed=1)
    assert images.shape == (10, size, size, 3)
    assert images.dtype == np.uint8
    # Something is drawn: no picture is flat, none is mostly black or white.
    assert (images.std(axis=(1, 2, 3)) > 12).all()
    assert ((images.mean(axis=(1, 2, 3)) > 25) & (images.mean(axis=(1, 2, 3)) < 235)).all()


@pytest.mark.parametrize("image", [object_image, hand_image, partial(user_image, per_user=10)])
def test_a_picture_depends_on_seed_and_number_only(image):
    together = draw(image, np.arange(20), seed=1)
    assert np.array_equal(draw(image, np.array([13, 4]), seed=1), together[[13, 4]])
    assert not np.array_equal(draw(image, np.array([4]), seed=2)[0], together[4])


@pytest.mark.parametrize("image", [object_image, hand_image])
def test_pictures_of_one_class_differ(image):
    images = draw(image, np.arange(3, 63, 10), seed=1).astype(float)
    differences = np.abs(images[:, None] - images[None]).mean(axis=(2, 3, 4))
    assert differences[~np.eye(len(images), dtype=bool)].min() > 5


def test_a_user_shows_three_digits_by_private_signs_and_the_others_as_everybody_does():
    users = [generated_sample.user(who, seed=1) for who in range(50)]
    assert all(len(user.private_digits) == 3 for user in users)
    for user in users:
        private = [user.signs[digit] for digit in user.private_digits]
        assert len(set(private)) == 3 and set(private) <= set(hands.FREE_SIGNS)
    # One and the same shape means different digits to different users.
    meanings = {sign: {digit for user in users for digit, shown in enumerate(user.signs) if shown == sign}
                for sign in hands.FREE_SIGNS}  # fmt: skip
    assert min(map(len, meanings.values())) >= 5


def test_every_free_sign_is_a_shape_of_its_own():
    student = hands.invent_student(np.random.default_rng(3))
    shapes = [hands.draw_hand(sign, student, np.random.default_rng(4)) for sign in (*range(10), *hands.FREE_SIGNS)]
    differences = np.abs(np.stack(shapes)[:, None].astype(float) - np.stack(shapes)[None]).mean(axis=(2, 3, 4))
    assert differences[~np.eye(len(shapes), dtype=bool)].min() > 1


def accuracy_of_linear_classifier(images: np.ndarray, labels: np.ndarray, *, held_out: int) -> tuple[float, float]:
    """Softmax regression on pixels by full-batch gradient descent; accuracy seen and held out."""
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255
    pixels -= pixels[held_out:].mean(axis=0)
    wanted = np.eye(10, dtype=np.float32)[labels]
    weights = np.zeros((pixels.shape[1], 10), dtype=np.float32)
    speed = np.zeros_like(weights)
    for _ in range(100):
        scores = pixels[held_out:] @ weights
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = odds / odds.sum(axis=1, keepdims=True) - wanted[held_out:]
        speed = 0.9 * speed - 0.02 * (pixels[held_out:].T @ error / len(error))
        weights += speed
    right = (pixels @ weights).argmax(axis=1) == labels
    return right[held_out:].mean(), right[:held_out].mean()


@pytest.mark.slow
@pytest.mark.parametrize(("image", "count", "step", "least"), [(object_image, 1600, 1, 0.2), (hand_image, 600, 3, 0.0)])
def test_a_linear_classifier_learns_something_but_does_not_solve_the_sample(image, count, step, least):
    numbers = np.arange(count)
    # Of the hands, every third pixel is enough for a ceiling, and much faster.
    images = draw(image, numbers, seed=1)[:, ::step, ::step]
    seen, held_out = accuracy_of_linear_classifier(images, numbers % 10, held_out=count // 4)
    assert least < held_out < 0.6
    assert seen > held_out


@pytest.mark.parametrize(
    ("name", "class_names", "image"),
    [("cifar", pools.CIFAR_CLASSES, object_image), ("sign-language", pools.DIGITS, hand_image)],
)
def test_the_stored_pictures_are_what_the_generator_draws(project: Path, name, class_names, image):
    folder = project / "tests" / "data" / "drawings" / name
    assert {path.stem for path in folder.glob("*.png")} == set(class_names)
    stored = np.stack([np.asarray(Image.open(folder / f"{class_name}.png")) for class_name in class_names])
    drawn = draw(image, np.arange(10), seed=command.SEED)
    # Another version of Pillow may place an edge pixel differently; one random number more or less changes all pixels.
    assert (stored != drawn).mean() < 0.02


def test_the_command_writes_one_picture_of_each_class(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["generated_sample", str(tmp_path)])
    command.main()
    assert sorted(path.stem for path in (tmp_path / "cifar").iterdir()) == sorted(pools.CIFAR_CLASSES)
    assert len(list((tmp_path / "sign-language").iterdir())) == 10


def test_it_is_loaded_only_where_an_image_is_drawn():
    code = "import sys; from helpers import handover; assert 'generated_sample' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_cores_draw_the_same_images_as_one(monkeypatch):
    numbers = np.array([5, 0, 12, 7])
    alone = sample.hands(20, seed=1).read(numbers)
    monkeypatch.setattr(sample, "_WORTH_PROCESSES", 4)
    tracker = resource_tracker._resource_tracker._fd
    assert np.array_equal(sample.hands(20, seed=1).read(numbers), alone)
    assert multiprocessing.active_children() == []
    # A kernel would wait for it: findings/jupyter_kernel_waits_for_the_resource_tracker.sh
    assert resource_tracker._resource_tracker._fd == tracker


def test_a_script_draws_alone_because_processes_would_run_it_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from helpers import datasets\nprint(len(datasets.load_cifar('sample', limit=600).train.labels))\n"
    )
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    assert (answer.stdout, answer.returncode) == ("600\n", 0), answer.stderr
