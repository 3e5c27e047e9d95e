import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

SHARED = [
    "convolution_with_batch_normalization",
    "lstm",
    "unrolled_and_bidirectional_gru",
    "embedding_and_lstm",
    "image_bytes",
    "parsed_example",
    "several_inputs_and_outputs",
    "loop_and_branch_that_read_variables",
    "narrow_weights",
    "half_precision_network",
    "stateless_random",
    "gathers_and_shapes",
    "large_constant",
    "equal_weights",
]
OWN = {
    "lookup_table": "initialization",
    "written_variable": "AssignAddVariableOp",
    "random_with_a_seed": "RandomStandardNormal",
    "compiled_by_xla": "XLA",
    "text_variable": "strings",
}


@pytest.fixture(scope="module")
def engines():
    from local_sagemaker.engines import engine

    with pytest.MonkeyPatch.context() as patch:  # other tests may have models in memory
        patch.setattr(engine, "ARCHITECTURES", engine.Architectures())
        yield engine
        assert len(engine.ARCHITECTURES) == 0  # whatever the tests loaded, they closed


@pytest.fixture
def open_engine(engines):
    """A function that opens a model by an engine, by default the best; all are closed after the test."""
    opened = []

    def open_(folder, kind=engines.open_engine):
        opened.append(kind(folder))
        return opened[-1]

    yield open_
    for engine in opened:
        engine.close()


@pytest.fixture(scope="module")
def linear_models(tmp_path_factory):
    """Models of one architecture, y = x · w + c: each with weights and a large constant of its own."""
    import tensorflow as tf

    class Linear(tf.Module):
        def __init__(self, factor, addend, name):
            super().__init__()
            self.weights = tf.Variable(tf.fill((2, 600), float(factor)), name=name)
            self.constant = tf.fill((600,), float(addend))

        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "x")])
        def call(self, x):
            return {"y": x @ self.weights + self.constant}

    folder = tmp_path_factory.mktemp("linear")
    for factor, addend, name in ((1, 0, "w"), (2, 0, "w"), (2, 5, "another/name")):
        model = Linear(factor, addend, name)
        tf.saved_model.save(model, str(folder / f"{factor}-{addend}" / "1"), signatures={"s": model.call})
    return folder


def values(inputs):
    return {name: np.asarray(value) for name, value in inputs.items()}


def ask(engine, *numbers):
    """Return the one number that a linear model answers."""
    (answer,) = np.unique(engine.signatures["s"].call({"x": np.array([numbers], np.float32)})["y"])
    return answer


@pytest.mark.parametrize("kind", [*SHARED[:3], *(pytest.param(kind, marks=pytest.mark.slow) for kind in SHARED[3:])])
def test_a_shared_graph_answers_as_the_saved_model_does(kinds, engines, open_engine, tmp_path, kind):
    inputs = kinds.save(kind, tmp_path / "1")
    shared, own = open_engine(tmp_path / "1"), open_engine(tmp_path / "1", engines.OwnEngine)
    assert (shared.name, own.name) == ("shared graph", "own graph")
    assert shared.signatures.keys() == own.signatures.keys() == inputs.keys()
    for name, arguments in inputs.items():
        expected = own.signatures[name].call(values(arguments))
        found = shared.signatures[name].call(values(arguments))
        assert list(found) == list(expected)
        for output, array in expected.items():
            assert (found[output].dtype, found[output].shape) == (array.dtype, array.shape)
            if array.dtype.kind == "f":
                np.testing.assert_allclose(found[output], array, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(found[output], array)


@pytest.mark.parametrize("kind", OWN)
def test_what_is_no_function_of_inputs_and_weights_gets_a_graph_of_its_own(kinds, engines, open_engine, tmp_path, kind):
    inputs = kinds.save(kind, tmp_path / "1")
    with pytest.raises(engines.ImpureGraphError, match=OWN[kind]):
        engines.SharedEngine(tmp_path / "1")
    engine = open_engine(tmp_path / "1")
    assert engine.name == "own graph"
    assert engine.signatures["serving_default"].call(values(inputs["serving_default"]))
    assert not (tmp_path / "1.weights").exists()


def test_the_slow_engine_can_be_asked_for(linear_models, open_engine, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_ENGINE", "own")
    engine = open_engine(linear_models / "2-0" / "1")
    assert engine.name == "own graph"
    assert ask(engine, 1, 1) == 4


def test_what_takes_all_cores_or_an_unknown_time_is_large(linear_models, engines, open_engine, monkeypatch):
    small = open_engine(linear_models / "1-0" / "1")
    own = open_engine(linear_models / "1-0" / "1", engines.OwnEngine)
    monkeypatch.setattr(engines, "ARCHITECTURES", engines.Architectures())
    monkeypatch.setattr(engines, "_SMALL_MODEL_SECONDS", 0)
    large = engines.SharedEngine(linear_models / "1-0" / "1")
    assert [small.is_large, own.is_large, large.is_large] == [False, True, True]
    large.close()
    monkeypatch.undo()


def test_models_of_one_architecture_share_a_graph_and_nothing_else(linear_models, engines, open_engine):
    models = [open_engine(linear_models / name / "1") for name in ("1-0", "2-0", "2-5")]
    assert len(engines.ARCHITECTURES) == 1
    assert [ask(model, 1, 2) for model in models] == [3, 6, 11]
    assert [model.footprint for model in models] == [3 * 600 * 4] * 3


def test_closing_a_model_leaves_the_others_of_its_architecture(linear_models, engines, open_engine):
    first, second = (engines.SharedEngine(linear_models / name / "1") for name in ("1-0", "2-0"))
    first.close()
    assert ask(second, 1, 2) == 6
    assert len(engines.ARCHITECTURES) == 1
    second.close()
    assert len(engines.ARCHITECTURES) == 0
    assert ask(open_engine(linear_models / "1-0" / "1"), 1, 2) == 3


def test_threads_call_two_models_of_one_architecture_at_the_same_time(linear_models, open_engine):
    models = {name: open_engine(linear_models / name / "1") for name in ("1-0", "2-5")}
    answers = {name: set() for name in models}

    def call(name):
        answers[name].update(ask(models[name], number, 1) - models[name].factor * number for number in range(200))

    models["1-0"].factor, models["2-5"].factor = 1, 2
    threads = [threading.Thread(target=call, args=(name,)) for name in models for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {"1-0": {1}, "2-5": {7}}


def test_calls_do_not_change_the_weights(linear_models, open_engine):
    engine = open_engine(linear_models / "2-5" / "1")
    prepared = (linear_models / "2-5" / "1.weights").read_bytes()
    for _ in range(3):
        assert ask(engine, 1, 2) == 11
    assert (linear_models / "2-5" / "1.weights").read_bytes() == prepared


def test_a_prepared_model_is_loaded_without_its_checkpoint(linear_models, open_engine, tmp_path):
    shutil.copytree(linear_models / "2-0", tmp_path / "m")
    first = open_engine(tmp_path / "m" / "1")
    (data,) = (tmp_path / "m" / "1" / "variables").glob("*.data-*")
    data.write_bytes(bytes(data.stat().st_size))
    assert ask(open_engine(tmp_path / "m" / "1"), 1, 2) == ask(first, 1, 2) == 6


def test_prepared_weights_of_another_model_are_not_used(linear_models, open_engine, tmp_path):
    for name in ("1-0", "2-0"):
        shutil.copytree(linear_models / name, tmp_path / name)
        open_engine(tmp_path / name / "1")
    shutil.copy(tmp_path / "1-0" / "1.weights", tmp_path / "2-0" / "1.weights")
    assert ask(open_engine(tmp_path / "2-0" / "1"), 1, 2) == 6
    open_engine(tmp_path / "1-0" / "1")
    assert (tmp_path / "1-0" / "1.weights").read_bytes() != (tmp_path / "2-0" / "1.weights").read_bytes()


@pytest.mark.parametrize("form", ["key", "signature", "weights"])
def test_prepared_weights_that_claim_what_the_model_is_not_are_written_anew(
    linear_models, engines, open_engine, tmp_path, form
):
    from local_sagemaker.engines import prepared_weights
    from local_sagemaker.engines.saved_models import SavedModel

    shutil.copytree(linear_models / "2-0" / "1", tmp_path / "1")
    source = SavedModel(tmp_path / "1")
    graph = source.graph.pure_graphs["s"]
    claims = {
        "key": {"s": ("0" * 48, graph.weights)},
        "signature": {"t": (graph.key, graph.weights)},
        "weights": {"s": (graph.key, graph.weights[::-1])},
    }
    path = tmp_path / "1.weights"
    prepared_weights.prepare(path, source.digest, claims[form], read=source.read)
    claimed = path.read_bytes()
    assert ask(open_engine(tmp_path / "1"), 1, 2) == 6
    assert path.read_bytes() != claimed


def test_a_base_path_that_cannot_be_written_to_serves_from_a_file_without_a_name(
    linear_models, open_engine, tmp_path, monkeypatch
):
    shutil.copytree(linear_models / "2-5" / "1", tmp_path / "1")

    def refuse(**_):
        raise PermissionError("read-only")

    monkeypatch.setattr("local_sagemaker.engines.prepared_weights.tempfile.mkstemp", refuse)
    engine = open_engine(tmp_path / "1")
    assert (engine.name, ask(engine, 1, 2)) == ("shared graph", 11)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_architecture_that_fails_its_rehearsal_serves_nobody(
    linear_models, engines, open_engine, monkeypatch, caplog
):
    from local_sagemaker.engines.architectures import Architecture

    call = Architecture.call

    def call_wrongly(self, inputs, weights):
        return {name: value + 1 for name, value in call(self, inputs, weights).items()}

    monkeypatch.setattr(Architecture, "call", call_wrongly)
    caplog.set_level("INFO")
    engine = open_engine(linear_models / "2-0" / "1")
    assert (engine.name, ask(engine, 1, 2)) == ("own graph", 6)
    assert "The output 'y' differs" in caplog.text
    assert len(engines.ARCHITECTURES) == 0


def test_a_damaged_model_is_refused_as_by_tensorflow(linear_models, engines, tmp_path):
    shutil.copytree(linear_models / "2-0" / "1", tmp_path / "1")
    for path in (tmp_path / "1" / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Exception, match=r"(?i)checksum|truncated|corrupt|magic|sstable|data loss|outside"):
        engines.open_engine(tmp_path / "1")
    assert len(engines.ARCHITECTURES) == 0


@pytest.mark.slow
def test_two_processes_export_one_architecture(kinds, open_engine, engines, tmp_path):
    kinds.save("loop_and_branch_that_read_variables", tmp_path / "0" / "1")  # numbers the functions that follow
    kinds.save("image_bytes", tmp_path / "a" / "1")
    program = "import sys; from pathlib import Path; import kinds; kinds.save('image_bytes', Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(Path(kinds.__file__).parent), "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", program, str(tmp_path / "b" / "1")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    for name in "ab":
        open_engine(tmp_path / name / "1")
    assert len(engines.ARCHITECTURES) == 1


def test_the_first_model_of_an_architecture_answers_at_once_and_then_by_it(linear_models, engines):
    folders = [linear_models / name / "1" for name in ("1-0", "2-5")]
    prepared = folders[0].with_suffix(".weights")
    prepared.unlink(missing_ok=True)
    provisional = engines.open_engine(folders[0], at_once=True)
    weights = 3 * 600 * 4
    own = engines.OwnEngine(folders[0])
    assert (provisional.name, provisional.is_provisional, len(engines.ARCHITECTURES)) == ("own graph", True, 0)
    assert provisional.footprint == own.footprint + weights  # they will be in memory twice
    assert ask(provisional, 1, 2) == 3
    assert prepared.exists()  # the platform counts the files when the load ends
    successor = engines.succeed(provisional, folders[0])
    assert (successor.name, successor.footprint, ask(successor, 1, 2)) == ("shared graph", weights, 3)
    second = engines.open_engine(folders[1], at_once=True)
    assert (second.name, second.is_provisional, ask(second, 1, 2)) == ("shared graph", False, 11)
    for engine in (own, provisional, successor, second):
        engine.close()


def test_a_successor_is_compared_with_the_provisional_engine_and_loads_no_other(linear_models, engines, monkeypatch):
    folder = linear_models / "2-0" / "1"
    provisional = engines.open_engine(folder, at_once=True)
    compared = []
    rehearse = engines.rehearse
    monkeypatch.setattr(
        engines, "rehearse", lambda expected, found: compared.append(expected) or rehearse(expected, found)
    )
    monkeypatch.setattr(engines.tf.saved_model, "load", None)
    successor = engines.succeed(provisional, folder)
    assert compared == [provisional.signatures["s"]]
    for engine in (provisional, successor):
        engine.close()


def test_a_provisional_engine_stays_if_the_architecture_fails_its_rehearsal(linear_models, engines, monkeypatch):
    def refuse(*_):
        raise engines.RehearsalError("The answers differ.")

    monkeypatch.setattr(engines, "rehearse", refuse)
    folder = linear_models / "2-5" / "1"
    engine = engines.open_engine(folder, at_once=True)
    assert engines.succeed(engine, folder) is engine
    own = engines.OwnEngine(folder)
    assert (engine.reason, engine.is_provisional) == ("The answers differ.", False)
    assert engine.footprint == own.footprint
    assert ask(engine, 1, 2) == 11
    assert len(engines.ARCHITECTURES) == 0
    for each in (engine, own):
        each.close()


def test_a_provisional_engine_does_not_wait_until_its_graphs_are_optimized(linear_models, engines, monkeypatch):
    optimized = []
    session = engines.tf.compat.v1.Session

    def open_session(**options):
        optimized.append(not options["config"].graph_options.rewrite_options.disable_meta_optimizer)
        return session(**options)

    monkeypatch.setattr(engines.tf.compat.v1, "Session", open_session)
    engines.open_engine(linear_models / "1-0" / "1", at_once=True).close()
    engines.OwnEngine(linear_models / "1-0" / "1").close()
    assert optimized == [False, True]


def test_an_engine_is_provisional_only_where_there_is_something_to_wait_for(
    kinds, linear_models, engines, open_engine, monkeypatch, tmp_path
):
    kinds.save("written_variable", tmp_path / "1")
    impure = open_engine(tmp_path / "1", lambda folder: engines.open_engine(folder, at_once=True))
    assert (impure.name, impure.is_provisional) == ("own graph", False)
    monkeypatch.setattr(engines, "_LARGEST_REHEARSAL", 0)
    unrehearsed = open_engine(linear_models / "1-0" / "1", lambda folder: engines.open_engine(folder, at_once=True))
    assert (unrehearsed.name, unrehearsed.is_provisional) == ("shared graph", False)
