"""The benchmarks start, and what they write has its form; nothing here looks at a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORDS = {"json": "p50_seconds", "jpeg": "p50_seconds", "throughput": "per_second"}
MODELS = ("tiny", "vgg16-100")  # each kind in its smallest form
PROJECT = Path(__file__).parents[1]


def run(name, *arguments):
    command = [sys.executable, str(PROJECT / "benchmarks" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_a_quick_run_measures_in_process_and_the_container_and_writes_everything():
    answer = run("serving", "--quick")
    written = PROJECT / "runs" / "benchmarks" / "serving-quick.json"
    document = json.loads(written.read_text())
    assert set(document["servers"]) == {"in-process TensorFlow", "container"}
    assert not document["missing"]
    assert document["quick"]
    assert document["machine"]["versions"]["tensorflow"]
    assert set(document["cases"]) == set(WORDS)
    for case, measure in WORDS.items():
        rounds = document["cases"][case]["container"][measure]
        assert len(rounds) == document["rounds"]
        assert all(value > 0 for value in rounds)
    goals = {row["what"]: row for row in document["goals"]}
    assert goals["p99 at 8 connections ÷ warm p50"]["measured"] > 0
    assert goals["1,000 distinct small CNNs, anonymous memory, MiB"]["measured"] is None
    for what, row in goals.items():
        assert f"| {what} | {row['goal']} |" in answer.stdout


def test_both_kinds_of_models_are_built_with_random_weights_of_their_own(tmp_path):
    run("programs/build_models", str(tmp_path), *MODELS)
    run("programs/build_models", str(tmp_path / "copies"), "--copy", str(tmp_path / "tiny"), "--copies", "2")
    first, second = (tmp_path / "copies" / name / "1" for name in "01")
    assert (tmp_path / "vgg16-100" / "1" / "saved_model.pb").is_file()
    assert (first / "saved_model.pb").read_bytes() == (second / "saved_model.pb").read_bytes()
    weights = "variables/variables.data-00000-of-00001"
    assert (first / weights).read_bytes() != (second / weights).read_bytes()
