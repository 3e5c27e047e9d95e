"""Both scripts of personal models, as a training job runs them."""

import tarfile

import numpy as np
import pytest
import tensorflow as tf

from personal_train import build_trained_part


@pytest.fixture(scope="module")
def trained(run_job, tmp_path_factory, people_data, vgg16_base):
    folder = tmp_path_factory.mktemp("personal_run")
    run = run_job("personal_train.py", "--epochs", "2", "--image-size", "32", "--batch-size", "16",
                     folder=folder, channels={"training": people_data, "weights": vgg16_base})  # fmt: skip
    assert run.exit_code == 0, run.stderr
    return run


def served(run, name, folder):
    with tarfile.open(run.model / f"{name}.tar.gz") as archive:
        archive.extractall(folder / name, filter="data")
    return tf.saved_model.load(folder / name / "1").signatures["serving_default"]


def test_it_leaves_an_archive_for_each_person_and_one_for_all(trained):
    names = sorted(path.name for path in trained.model.iterdir())
    assert names == ["shared.tar.gz", *(f"user-00{number}.tar.gz" for number in range(4))]
    sizes = trained.report("evaluation")["archive_bytes"]
    assert sizes == {name: (trained.model / name).stat().st_size for name in names}
    assert "epoch 2/2 loss=" in trained.stdout and "archive 4/4" in trained.stdout


def test_what_it_reports_is_what_the_archives_answer(trained, people_data, tmp_path):
    evaluation = trained.report("evaluation")
    with np.load(people_data / "test.npz") as arrays, np.load(people_data / "owners.npz") as whose:
        images, labels, owners = tf.constant(arrays["images"], tf.float32), arrays["labels"], whose["test"]
    own = [served(trained, f"user-00{who}", tmp_path)(instances=images[i : i + 1]) for i, who in enumerate(owners)]
    right = [int(found["probabilities"].numpy().argmax()) == label for found, label in zip(own, labels, strict=True)]
    assert evaluation["test"]["accuracy"] == pytest.approx(np.mean(right))
    shared = served(trained, "shared", tmp_path)(instances=images)["probabilities"].numpy().argmax(axis=1)
    assert evaluation["shared"]["test"]["accuracy"] == pytest.approx((shared == labels).mean())
    assert evaluation["comparison"]["difference"] == pytest.approx(np.mean(right) - (shared == labels).mean())
    assert evaluation["pull"] in evaluation["pulls"]["pull"]
    assert set(evaluation["seconds"]) == {"features", "shared", "heads", "archives"}


def test_someone_who_comes_later_gets_the_model_that_he_would_have_had(run_job, trained, people_data, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "shared.tar.gz").write_bytes((trained.model / "shared.tar.gz").read_bytes())
    pull = trained.report("evaluation")["pull"]
    run = run_job("personal_enrol.py", "--pull", str(pull),
                     folder=tmp_path, channels={"training": people_data, "shared": shared})  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert sorted(path.name for path in run.model.iterdir()) == [f"user-00{number}.tar.gz" for number in range(4)]
    with np.load(people_data / "test.npz") as arrays:
        images = tf.constant(arrays["images"], tf.float32)
    for name in ("user-000", "user-003"):
        first, later = (served(found, name, tmp_path / place)(instances=images)["probabilities"]
                        for place, found in (("first", trained), ("later", run)))  # fmt: skip
        np.testing.assert_allclose(later, first, atol=1e-4)


def test_the_trained_part_has_the_layers_that_personal_models_need():
    part = build_trained_part((12, 12, 128), class_count=10, embedding_units=8, dropout=0.3)
    assert part.get_layer("embedding").output.shape == (None, 8)
    assert part.get_layer("head") is part.layers[-1] and part.output_shape == (None, 10)


def test_images_too_small_for_vgg16_are_refused(run_job, people_data, vgg16_base, tmp_path):
    run = run_job("personal_train.py", "--image-size", "16",
                     folder=tmp_path, channels={"training": people_data, "weights": vgg16_base})  # fmt: skip
    assert run.exit_code == 2 and "--image-size 16 is too small for VGG16" in run.stderr
