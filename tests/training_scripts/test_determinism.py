"""The same seed, threads and data: the same weights, bit by bit, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

import determinism

SCRIPTS = Path(determinism.__file__).parent


def test_two_runs_export_the_same_bits(training, whole_run, tmp_path):
    again = training.run(tmp_path)
    assert again.exit_code == 0, again.stderr
    first, second = whole_run.exported_variables(), again.exported_variables()
    assert len(first) > 10
    assert first == second
    histories = [run.report("history") for run in (whole_run, again)]
    for history in histories:
        del history["seconds"]
    assert histories[0] == histories[1]
    assert whole_run.report("provenance") == again.report("provenance")


@pytest.mark.parametrize(
    ("threads", "environment", "expected"),
    [(3, {}, "3 3"), (0, {"TF_NUM_INTRAOP_THREADS": "5"}, "5 0"), (0, {}, None)],
)
def test_the_number_of_threads_is_set_and_told(threads, environment, expected, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = (
        "import tensorflow as tf; from determinism import make_deterministic, _count_cores;"
        f"told = make_deterministic(seed=1, threads={threads});"
        "print(told, tf.config.threading.get_intra_op_parallelism_threads(), _count_cores())"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    told, given, cores = finished.stdout.split()
    assert f"{told} {given}" == (expected or f"{cores} 0"), finished.stderr


def test_the_processor_is_told_by_architecture_and_vector_extensions(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx512f sse avx2 fma\n\nprocessor\t: 1\n")
    monkeypatch.setattr(determinism, "_CPU_INFO", path)
    assert determinism.describe_processor()["extensions"] == ["avx2", "fma", "avx512f"]
    monkeypatch.setattr(determinism, "_CPU_INFO", tmp_path / "none")
    processor = determinism.describe_processor()
    assert processor["architecture"] and processor["extensions"] == []
