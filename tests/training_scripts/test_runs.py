"""What every finished training script leaves behind, whichever model it trains."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

LINE = re.compile(
    r"epoch (\d+)/(\d+) loss=(\d+\.\d+) accuracy=(\d\.\d+) "
    r"val_loss=(\d+\.\d+) val_accuracy=(\d\.\d+) seconds=(\d+\.\d+)"
)


def stored_bytes(variables: tf.train.load_checkpoint) -> dict[str, int]:
    shapes, dtypes = variables.get_variable_to_shape_map(), variables.get_variable_to_dtype_map()
    return {
        name: int(np.prod(shape)) * dtypes[name].size for name, shape in shapes.items() if dtypes[name] != tf.string
    }


@pytest.fixture(scope="module")
def served(any_run):
    """The exported model, the test images, and the whole run."""
    run, data = any_run
    with np.load(data / "test.npz") as arrays:
        return tf.saved_model.load(run.model / "1"), arrays["images"], run


def test_the_model_folder_holds_the_archive_and_nothing_else(any_run):
    run, _ = any_run
    files = {str(path.relative_to(run.model)) for path in run.model.rglob("*") if path.is_file()}
    assert {"1/saved_model.pb", "1/variables/variables.index", "1/assets.extra/model.json"} <= files
    assert [path.name for path in run.model.iterdir()] == ["1"]
    assert not list(run.model.parent.glob(".export-*"))


def test_the_card_names_classes_size_and_provenance(any_run):
    run, data = any_run
    description = json.loads((data / "dataset.json").read_text())
    card = json.loads((run.model / "1" / "assets.extra" / "model.json").read_text())
    assert card["class_names"] == description["class_names"]
    assert card["image_size"] == description["image_size"]
    assert card["provenance"] == run.report("provenance")


def test_both_signatures_agree_on_an_image_of_the_native_size(served):
    model, images, _ = served
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    pixels = model.signatures["serving_default"](instances=tf.constant(images, tf.float32))
    decoded = model.signatures["serving_bytes"](image_bytes=tf.constant(encoded))
    assert set(pixels) == set(decoded) == {"label", "probabilities"}
    assert pixels["probabilities"].shape == (10, 10) and pixels["probabilities"].dtype == tf.float32
    np.testing.assert_allclose(pixels["probabilities"], decoded["probabilities"], atol=1e-5)
    assert pixels["label"].numpy().tolist() == decoded["label"].numpy().tolist()
    # Equal answers would mean little if every image had the same answer.
    assert np.ptp(pixels["probabilities"].numpy(), axis=0).max() > 1e-4


def test_probabilities_sum_to_one_and_the_label_is_the_largest(served):
    model, images, run = served
    answer = model.signatures["serving_default"](instances=tf.constant(images, tf.float32))
    probabilities = answer["probabilities"].numpy()
    names = run.report("evaluation")["class_names"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert [label.decode() for label in answer["label"].numpy()] == [names[i] for i in probabilities.argmax(1)]


def test_the_served_model_is_the_evaluated_one(served):
    model, images, run = served
    labels = np.arange(10)
    answer = model.signatures["serving_default"](instances=tf.constant(images, tf.float32))
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, answer["probabilities"].numpy().argmax(axis=1)), 1)
    assert run.report("evaluation")["test"]["confusion_matrix"] == matrix.tolist()


def test_signatures_take_jpegs_of_any_size_and_any_number_of_images(served):
    model, _, _ = served
    buffer = io.BytesIO()
    Image.new("L", (200, 130), 90).save(buffer, "JPEG")
    decoded = model.signatures["serving_bytes"](image_bytes=tf.constant([buffer.getvalue()] * 3))
    assert decoded["probabilities"].shape == (3, 10)
    assert model.signatures["serving_default"].structured_input_signature[1]["instances"].shape[0] is None


def test_every_weight_is_stored_once_as_float32(any_run):
    run, _ = any_run
    variables = tf.train.load_checkpoint(run.model / "1" / "variables" / "variables")
    stored = stored_bytes(variables)
    on_disk = sum(path.stat().st_size for path in (run.model / "1").rglob("*") if path.is_file())
    largest = sorted(
        (variables.get_tensor(name) for name, size in stored.items() if size > 10_000), key=lambda a: a.size
    )
    digests = {array.tobytes() for array in largest}
    assert len(digests) == len(largest)
    assert on_disk < sum(stored.values()) * 1.05 + 400_000
    dtypes = variables.get_variable_to_dtype_map()
    assert {dtypes[name] for name in stored} == {tf.float32}


def test_history_agrees_with_the_lines_of_the_log(any_run):
    run, _ = any_run
    history = run.report("history")
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    lines = [LINE.fullmatch(line) for line in run.stdout.splitlines() if line.startswith("epoch ")]
    assert lines and all(lines)
    assert history["epoch"] == [int(line[1]) for line in lines] == list(range(1, int(lines[0][2]) + 1))
    for column, name in enumerate(("loss", "accuracy", "val_loss", "val_accuracy", "seconds"), start=3):
        assert history[name] == pytest.approx([float(line[column]) for line in lines], abs=6e-5)


def test_evaluation_counts_every_image(any_run):
    run, _ = any_run
    evaluation = run.report("evaluation")
    assert set(evaluation) == {"validation", "test", "class_names"}
    measures = {"count", "mistake_count", "accuracy", "accuracy_interval", "calibration"}
    assert set(evaluation["validation"]) == measures
    assert set(evaluation["test"]) == measures | {"confusion_matrix"}
    assert (evaluation["validation"]["count"], evaluation["test"]["count"]) == (20, 10)
    matrix = np.array(evaluation["test"]["confusion_matrix"])
    assert matrix.sum(axis=1).tolist() == [1] * 10
    assert evaluation["test"]["accuracy"] == pytest.approx(matrix.trace() / 10)
    last = run.report("history")["val_accuracy"][-1]
    assert evaluation["validation"]["accuracy"] == pytest.approx(last, abs=1e-6)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_evaluation_says_how_far_it_can_be_trusted(any_run, split):
    run, _ = any_run
    part = run.report("evaluation")[split]
    low, high = part["accuracy_interval"]
    assert 0 <= low < part["accuracy"] + 1e-9 and part["accuracy"] - 1e-9 < high <= 1
    bins = part["calibration"]["bins"]
    assert sum(each["count"] for each in bins) == part["count"]
    assert sum(each["count"] * each["accuracy"] for each in bins) == pytest.approx(part["accuracy"] * part["count"])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_mistakes_are_images_of_their_split_with_their_true_labels(any_run, split):
    run, data = any_run
    part = run.report("evaluation")[split]
    assert part["mistake_count"] == round((1 - part["accuracy"]) * part["count"])
    with np.load(run.output / "mistakes" / f"{split}.npz", allow_pickle=False) as arrays:
        mistakes = dict(arrays)
    assert len(mistakes["images"]) == min(12, part["mistake_count"])
    with np.load(data / f"{split}.npz") as arrays:
        np.testing.assert_array_equal(mistakes["images"], arrays["images"][mistakes["indices"]])
        np.testing.assert_array_equal(mistakes["labels"], arrays["labels"][mistakes["indices"]])
    assert (mistakes["predictions"] != mistakes["labels"]).all()
    assert (np.diff(mistakes["probabilities"].max(axis=1)) <= 0).all()


def test_provenance_names_data_weights_seed_and_versions(any_run):
    run, data = any_run
    provenance = run.report("provenance")
    assert provenance["data"] == json.loads((data / "dataset.json").read_text())
    assert provenance["seed"] == 3
    assert provenance["hyperparameters"]["epochs"] == run.report("history")["epoch"][-1]
    assert not any(name.endswith("_dir") for name in provenance["hyperparameters"])
    assert provenance["versions"]["tensorflow"] == tf.__version__
    assert set(provenance["versions"]) == {"python", "tensorflow", "keras", "numpy"}
    assert provenance["threads"] >= 1 and provenance["ranks"] == 1
    assert set(provenance["processor"]) == {"architecture", "extensions"}
    assert provenance["resumed_at"] == []


def test_the_log_names_the_data_and_the_weights(any_run):
    run, _ = any_run
    weights = run.report("provenance")["weights"]
    assert ", a generated sample (generated images): 64 train, 20 validation, 10 test" in run.stdout
    assert weights["description"] in run.stdout
    assert "UserWarning" not in run.stderr


@pytest.mark.slow
def test_the_scripts_start_without_what_keras_takes_along_for_others(project):
    """That would take another half of the time of starting, in each job."""
    scripts = project / "training_scripts"
    code = f"""if True:
        import sys
        {"; ".join(f"import {path.stem}" for path in sorted(scripts.glob("*.py")))}
        assert not {{"sklearn", "matplotlib", "pandas"}} & set(sys.modules)
        import matplotlib, pandas, sklearn  # can be had
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=scripts)
