"""The script that makes the model of someone who comes later."""

import shutil

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture
def shared(personal_run, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    shutil.copy(personal_run.model / "shared.tar.gz", folder)
    return folder


def test_whoever_comes_later_gets_the_model_of_the_first_day(
    run_job, personal_run, users_data, shared, served_archive, tmp_path
):
    strength = personal_run.report("evaluation")["regularization_strength"]
    run = run_job("personal_enroll.py", "--regularization-strength", str(strength),
                  folder=tmp_path, channels={"training": users_data, "shared": shared})  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert sorted(path.name for path in run.model.iterdir()) == [f"user-00{number}.tar.gz" for number in range(4)]
    assert run.report("evaluation")["test"]["accuracy"] == personal_run.report("evaluation")["test"]["accuracy"]
    with np.load(users_data / "test.npz") as arrays:
        images = tf.constant(arrays["images"], tf.float32)
    for name in ("user-000", "user-003"):
        first, later = (served_archive(found, name)(instances=images)["probabilities"] for found in (personal_run, run))
        np.testing.assert_allclose(later, first, atol=1e-4)
