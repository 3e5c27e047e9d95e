import asyncio
import json
import random
import shutil
import threading
import timeit
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_sagemaker.container.batches import BatchingOptions
from local_sagemaker.container.invocations import Answer
from local_sagemaker.container.loaded_models import Bundle, LoadedModels
from local_sagemaker.container.loader import Options
from local_sagemaker.container.servables import UnloadedError
from local_sagemaker.engines.saved_models import SavedModel
from local_sagemaker.settings import MEBIBYTE

SCRIPTS = Path(__file__).parents[1] / "inference_scripts"


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A model that loads, and whose predictions fail, print, take much memory, or end when a file is there."""
    import tensorflow as tf

    class Odd(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        def fail(self, x):
            return {"y": tf.debugging.check_numerics(x, "no number")}

        @tf.function(input_signature=[tf.TensorSpec((), tf.int64, "x")])
        def grow(self, x):
            return {"y": tf.reduce_sum(tf.random.uniform([x]))}

        @tf.function(input_signature=[tf.TensorSpec((), tf.string, "x")])
        def speak(self, x):
            tf.print(x)
            return {"y": x}

        @tf.function(input_signature=[tf.TensorSpec((), tf.string, "x")])
        def work(self, x):
            def goes_on(rounds):
                return tf.size(tf.io.matching_files(x)) == 0

            return {"rounds": tf.while_loop(goes_on, lambda rounds: [rounds + 1], [tf.constant(0, tf.int64)])[0]}

    folder = tmp_path_factory.mktemp("odd")
    model = Odd()
    names = ("fail", "grow", "speak", "work")
    tf.saved_model.save(model, str(folder / "1"), signatures={name: getattr(model, name) for name in names})
    return folder


@pytest.fixture
def working(tmp_path) -> Iterator[dict]:
    """A request that keeps a processor busy until the test is over, and no longer: the next ones need it."""
    yield {"signature_name": "work", "inputs": str(tmp_path / "enough")}
    (tmp_path / "enough").touch()


def request(name: str, document: object) -> tuple:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return "POST", f"/models/{name}/invoke", body, {"content_type": "application/json"}


def loading(name: str, url: Path) -> tuple:
    return "POST", "/models", json.dumps({"model_name": name, "url": str(url)}).encode(), {}


GOOD = request("good", {"instances": [[1, 2]]})
ANSWER = (200, "application/json", b'{"predictions":[[10.0,20.0]]}')
ANSWER_OF_MODEL = Answer(200, ANSWER[2])


@pytest.mark.slow
def test_a_model_that_fails_prints_or_wants_too_much_memory_does_not_disturb_another(start_container, models, odd):
    container = start_container()
    container.together(loading("good", models / "linear"), loading("odd", odd))
    calls = [
        (request("odd", b'{"signature_name": "fail", "inputs": [NaN]}'), 400),
        (request("odd", {"signature_name": "grow", "inputs": 2**45}), 429),
        (request("odd", {"signature_name": "grow", "inputs": 2**22}), 200),
        (request("odd", {"signature_name": "speak", "inputs": "loud\n" * 10_000}), 200),
    ]
    answers = container.together(*(call for call, _ in calls), *[GOOD] * 8)
    assert [status for status, _, _ in answers[: len(calls)]] == [status for _, status in calls]
    assert answers[len(calls) :] == [ANSWER] * 8


@pytest.mark.slow
def test_a_prediction_that_takes_too_long_is_an_error_and_leaves_room_for_another_model(
    start_container, models, odd, working
):
    container = start_container(invocation_seconds=3)
    container.together(loading("good", models / "linear"), loading("odd", odd))
    assert container.together(GOOD) == [ANSWER]
    *slow_answers, good = container.together(*[request("odd", working)] * 6, GOOD)
    assert good == ANSWER
    assert [status for status, _, _ in slow_answers] == [504] * 6


@pytest.mark.slow
def test_a_small_model_answers_while_large_ones_take_all_the_threads_that_they_may(
    start_container, models, odd, working
):
    container = start_container(invocation_seconds=3)
    names = [f"large-{number}" for number in range(5)]
    container.together(loading("good", models / "linear"), *(loading(name, odd) for name in names))
    container.settle()
    assert [container.models.servable(name).engine.is_large for name in ("good", *names)] == [False] + [True] * 5
    assert container.together(GOOD) == [ANSWER]
    *slow_answers, good = container.together(*(request(name, working) for name in names for _ in range(4)), GOOD)
    assert good == ANSWER
    assert [status for status, _, _ in slow_answers] == [504] * 20


@pytest.mark.slow
def test_many_models_are_loaded_invoked_and_unloaded_at_the_same_time(start_container, models, write_model):
    """Random calls on 12 models, three of them with a handler; every answer fits what can be true at its time."""
    container = start_container(memory_bytes=MEBIBYTE * 7 // 2)  # three of the heavy ones
    script = (SCRIPTS / "pair.py").read_text()
    urls = {f"linear-{number}": models / "linear" for number in range(4)}
    urls |= {f"heavy-{number}": models / "heavy" for number in range(5)}
    urls |= {f"csv-{number}": write_model(f"csv-{number}", script) for number in range(3)}
    chosen = random.Random(3)
    names = chosen.choices(list(urls), k=200)
    calls = [chosen.choice([loading(name, urls[name]), *[invocation(name)] * 3, unloading(name)]) for name in names]
    statuses = set()
    for start in range(0, len(calls), 40):
        batch = list(zip(names[start : start + 40], calls[start : start + 40], strict=True))
        for (name, call), answer in zip(batch, container.together(*(call for _, call in batch)), strict=True):
            statuses.add(answer[0])
            check(name, call, answer)
    assert {200, 404, 409, 507} <= statuses
    for name in urls:
        container.together(unloading(name))
    assert container.call("GET", "/models") == (200, {})
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not any("/csv-" in command for command in commands)
    assert container.load("heavy", models / "heavy")[0] == 200  # no memory is still reserved


@pytest.mark.slow
def test_a_load_waits_for_the_memory_that_an_unload_is_giving_back(start_container, models):
    container = start_container(memory_bytes=MEBIBYTE * 3 // 2)  # one of the heavy ones
    container.together(loading("a", models / "heavy"))
    for gone, come in (("a", "b"), ("b", "a")):
        answers = container.together(unloading(gone), loading(come, models / "heavy"))
        assert [status for status, _, _ in answers] == [200, 200]


def test_a_model_that_turns_out_larger_than_its_files_say_is_refused_and_leaves_nothing(
    start_container, models, monkeypatch
):
    monkeypatch.setenv("LOCAL_SAGEMAKER_ENGINE", "own")  # the graph counts, too
    container = start_container(memory_bytes=MEBIBYTE * 3 // 2)  # more than the weights' files
    status, answer = container.load("heavy", models / "heavy")
    assert status == 507
    assert answer["error"].startswith("Memory exhausted: heavy needs ")
    assert container.call("GET", "/models") == (200, {})
    monkeypatch.delenv("LOCAL_SAGEMAKER_ENGINE")
    assert container.load("heavy", models / "heavy")[0] == 200  # no memory is still reserved


def invocation(name: str) -> tuple:
    if name.startswith("csv"):
        return "POST", f"/models/{name}/invoke", b"1,2", {"content_type": "text/csv"}
    return request(name, {"instances": [[1, 2]] if name.startswith("linear") else [1]})


def unloading(name: str) -> tuple:
    return "DELETE", f"/models/{name}", b"", {}


def check(name: str, call: tuple, answer: tuple) -> None:
    status, kind, body = answer
    if call[1] == "/models":
        assert status in (200, 409) or (status == 507 and name.startswith("heavy")), answer
    elif call[0] == "DELETE" or status == 404:
        assert status in (200, 404), answer
    elif name.startswith("csv"):
        ended = (status == 500 and b"unloaded during the call" in body) or b"being unloaded" in body
        assert ended or (status, kind, body) == (200, "text/csv", b"2.0,4.0"), answer
    elif name.startswith("linear"):
        assert answer == ANSWER
    else:
        assert status == 200, answer


async def test_the_rest_api_of_handlers_does_not_reach_a_model_without_one(models):
    loaded = LoadedModels(Options(memory_bytes=MEBIBYTE * 3 // 2))
    await loaded.load(loading("plain", models / "linear")[2])
    request = ("plain", None, "predict", b'{"instances": [[1, 2]]}')
    assert (await loaded._predict_for_handler(*request)).status == 404
    assert (await loaded.predict(*request)).status == 200
    await loaded.close()


class Gate:
    """Holds rehearsals of new architectures back until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()


@pytest.fixture
def gate(monkeypatch) -> Gate:
    from local_sagemaker.engines import engine

    gate, rehearse = Gate(), engine.rehearse

    def wait_and_rehearse(expected, found):
        gate.reached.set()
        assert gate.opened.wait(60)
        return rehearse(expected, found)

    monkeypatch.setattr(engine, "rehearse", wait_and_rehearse)
    monkeypatch.setattr(engine, "ARCHITECTURES", engine.Architectures())  # other tests may have models in memory
    return gate


@pytest.fixture
def one_version(models, tmp_path):
    shutil.copytree(models / "linear" / "10", tmp_path / "10")
    return tmp_path


def counted(models: LoadedModels) -> int:
    return sum(models._budget._taken.values())


@pytest.mark.slow
@pytest.mark.parametrize("batching", [None, BatchingOptions()], ids=["alone", "batched"])
async def test_the_first_model_of_an_architecture_answers_while_that_is_built_and_then_by_it(
    one_version, gate, batching
):
    loaded = LoadedModels(Options(batching=batching))
    body = b'{"instances": [[1, 2]]}'
    await loaded.load(loading("m", one_version)[2])
    first = loaded.servable("m")
    assert await loaded.predict("m", None, "predict", body) == ANSWER_OF_MODEL
    assert await asyncio.to_thread(gate.reached.wait, 60)
    assert await loaded.predict("m", None, "predict", body) == ANSWER_OF_MODEL
    assert first.engine.is_provisional
    assert counted(loaded) == first.engine.footprint  # with the weights of its successor
    settled = asyncio.create_task(loaded.settle())
    gate.opened.set()
    while not settled.done():  # no call is lost when the engines change
        answers = await asyncio.gather(*(loaded.predict("m", None, "predict", body) for _ in range(8)))
        assert answers == [ANSWER_OF_MODEL] * 8
    assert loaded.servable("m").engine.name == "shared graph"
    assert counted(loaded) == loaded.servable("m").engine.footprint <= first.engine.weight_bytes
    with pytest.raises(UnloadedError):  # its memory is free
        first.predict(body)
    assert await loaded.predict("m", None, "predict", body) == ANSWER_OF_MODEL
    await loaded.unload("m")
    await loaded.close()


@pytest.mark.slow
@pytest.mark.parametrize("called", [True, False])
async def test_an_unload_while_the_architecture_is_built_leaves_nothing(one_version, gate, called):
    from local_sagemaker.engines import engine

    loaded = LoadedModels()
    await loaded.load(loading("m", one_version)[2])
    if called:
        await loaded.predict("m", None, "predict", b'{"instances": [[1, 2]]}')
        assert await asyncio.to_thread(gate.reached.wait, 60)
    unload = asyncio.create_task(loaded.unload("m"))
    await asyncio.sleep(0)
    assert (await loaded.predict("m", None, "predict", b"{}")).status == 404
    gate.opened.set()
    assert (await unload).status == 200
    assert gate.reached.is_set() == called  # what nobody called is not built
    assert (len(engine.ARCHITECTURES), counted(loaded)) == (0, 0)
    assert (await loaded.load(loading("m", one_version)[2])).status == 200
    await loaded.unload("m")
    await loaded.close()


async def test_where_there_is_no_room_for_a_second_graph_the_first_model_waits_for_its_architecture(models, gate):
    gate.opened.set()
    loaded = LoadedModels(Options(memory_bytes=MEBIBYTE * 3 // 2))
    answer = await loaded.load(loading("m", models / "heavy")[2])
    assert answer.status == 200, answer
    assert loaded.servable("m").engine.name == "shared graph"
    assert counted(loaded) == MEBIBYTE
    await loaded.close()


async def test_a_load_waits_for_the_memory_that_a_provisional_engine_is_giving_back(models, gate):
    heavy = SavedModel(models / "heavy" / "1")
    memory_bytes = 2 * heavy.weight_bytes + heavy.graph.own_bytes  # for two, or for one and its provisional engine
    loaded = LoadedModels(Options(memory_bytes=memory_bytes))
    await loaded.load(loading("a", models / "heavy")[2])
    assert loaded.servable("a").engine.is_provisional
    second = asyncio.create_task(loaded.load(loading("b", models / "heavy")[2]))
    assert await asyncio.to_thread(gate.reached.wait, 60)
    assert not second.done()
    gate.opened.set()
    assert (await second).status == 200
    assert counted(loaded) == 2 * MEBIBYTE
    await loaded.close()


def test_a_call_does_not_look_through_all_models():
    few, many = LoadedModels(), LoadedModels()
    for models, count in ((few, 1), (many, 100_000)):
        models._bundles = {str(number): Bundle(str(number), False, "", {}) for number in range(count)}
        assert models.single is None
    looks = [min(timeit.repeat(lambda models=models: models.single, number=10)) for models in (few, many)]
    assert looks[1] < 50 * looks[0]  # a look through them takes a thousand times as long
