import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local_sagemaker.container.threads import Threads
from local_sagemaker.settings import MEBIBYTE

HALF_A_MINUTE = 30.0


@pytest.fixture(scope="module")
def batches():
    from local_sagemaker.container import batches  # imported only by the tests that need it: it takes seconds

    return batches


@pytest.fixture
def threads() -> Threads:
    return Threads(4, name="test")


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A model whose outputs have the batch of its inputs, claim it falsely, or fail for some rows."""
    import tensorflow as tf

    class Odd(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, "x")])
        def twice(self, x):
            return {"y": 2 * x, "rows": tf.fill([tf.shape(x)[0]], tf.shape(x)[0])}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        def positive(self, x):
            tf.debugging.assert_positive(x, "must be positive")
            return {"y": x}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        def distinct(self, x):
            return {"y": tf.unique(x)[0]}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        def total(self, x):
            return {"y": tf.reduce_sum(x)}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "x")])
        def text(self, x):
            return {"y": tf.strings.join(["<", x, ">"])}

    folder = tmp_path_factory.mktemp("odd")
    model = Odd()
    names = ("twice", "positive", "distinct", "total", "text")
    tf.saved_model.save(model, str(folder / "1"), signatures={name: getattr(model, name) for name in names})
    return folder


@pytest.fixture(scope="module", params=["shared", "own"])
def container(request, start_container, batches, odd):
    """A container that batches up to eight rows, and waits for them as long as it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_SAGEMAKER_ENGINE", request.param)
        client = start_container(batching=batches.BatchingOptions(max_rows=8, timeout_seconds=HALF_A_MINUTE))
        assert client.load("m", odd)[0] == 200
    return client


@pytest.fixture
def computed(container, monkeypatch) -> list[int]:
    """The first dimension of each computation of the model from now on."""
    rows: list[int] = []
    servable = container.models.servable("m")
    for name, signature in list(servable._signatures.items()):
        counting = replace(signature, call=_counting(signature.call, rows))
        monkeypatch.setitem(servable._signatures, name, counting)
    return rows


def _counting(call: Callable[..., Any], rows: list[int]) -> Callable[..., Any]:
    def counted(inputs: dict[str, np.ndarray]) -> Any:
        rows.append(len(next(iter(inputs.values()))))
        return call(inputs)

    return counted


def ask(signature: str, **request: object) -> tuple:
    body = json.dumps({"signature_name": signature} | request).encode()
    return "POST", "/models/m/invoke", body, {"content_type": "application/json"}


def answers(container, *calls: tuple) -> list[tuple[int, Any]]:
    return [(status, json.loads(body)) for status, _, body in container.together(*calls)]


def test_calls_together_are_one_computation_and_each_gets_its_own_rows(container, computed):
    calls = [ask("twice", instances=[[number, 0]]) for number in range(7)]
    calls.append(ask("twice", inputs=[[7, 0]]))  # the column format joins, too
    got = answers(container, *calls)
    assert computed == [8]
    rows = [{"y": [2 * number, 0], "rows": 8} for number in range(7)]
    assert got[:7] == [(200, {"predictions": [row]}) for row in rows]
    assert got[7] == (200, {"outputs": {"y": [[14, 0]], "rows": [8]}})


@pytest.mark.parametrize("sizes", [[4] * 4, [2] * 8], ids=str)  # whichever is read first, they fill two batches
def test_calls_of_several_rows_fill_a_batch_but_never_more_than_the_largest(container, computed, sizes):
    got = answers(container, *(ask("twice", instances=[[size, 1]] * size) for size in sizes))
    assert computed == [8, 8]
    assert [len(body["predictions"]) for _, body in got] == sizes


def test_a_call_as_large_as_a_batch_or_larger_does_not_wait(container, computed):
    for size in (8, 20):
        assert answers(container, ask("twice", instances=[[1]] * size))[0][0] == 200
    assert computed == [8, 20]


def test_calls_of_other_forms_are_in_other_batches(container, computed):
    calls = [ask("twice", instances=[[1] * (1 + number % 2)] * 2) for number in range(8)]
    calls += [ask("text", instances=["a"] * 4)] * 2
    got = answers(container, *calls)
    assert sorted(computed) == [8, 8, 8]
    assert [len(body["predictions"][0]["y"]) for _, body in got[:8]] == [1, 2] * 4
    assert got[8] == got[9] == (200, {"predictions": ["<a>"] * 4})


def test_a_call_that_fits_no_signature_is_refused_before_it_joins(container, computed):
    good = [ask("twice", instances=[[number]]) for number in range(8)]
    bad = [ask("twice", instances=[]), ask("twice", instances=[["a"]]), ask("nothing", instances=[[1]])]
    got = answers(container, *good[:4], *bad, *good[4:])
    assert [status for status, _ in got] == [200] * 4 + [400] * 3 + [200] * 4
    assert computed == [8]


def test_a_call_without_a_first_dimension_is_left_to_the_graph(container):
    # The good one is a whole batch: a smaller one would wait for others, here without end.
    (status, body), good = answers(container, ask("positive", inputs=3), ask("positive", inputs=[3] * 8))
    assert (status, good) == (400, (200, {"outputs": [3] * 8}))
    assert "x has shape [], which the model does not take" in body["description"]


def test_a_call_on_which_the_model_fails_does_not_disturb_the_others_of_its_batch(container, computed):
    got = answers(container, *(ask("positive", instances=[number]) for number in range(8)))
    assert got[0][0] == 400
    assert "must be positive" in got[0][1]["description"]
    assert got[1:] == [(200, {"predictions": [number]}) for number in range(1, 8)]
    assert computed == [8] + [1] * 8


def test_an_output_that_turns_out_to_have_no_batch_is_computed_alone_from_then_on(container, computed):
    calls = [ask("distinct", inputs=[number, number]) for number in range(4)]
    for computations in ([8, 2, 2, 2, 2], [2, 2, 2, 2]):
        assert answers(container, *calls) == [(200, {"outputs": [number]}) for number in range(4)]
        assert computed == computations
        computed.clear()


def test_a_signature_whose_output_has_no_batch_is_never_batched(container, computed):
    calls = [ask("total", inputs=[number, 1]) for number in range(4)]
    assert answers(container, *calls) == [(200, {"outputs": number + 1}) for number in range(4)]
    assert computed == [2] * 4


def test_an_empty_batch_is_computed_alone(container, computed):
    assert answers(container, ask("positive", inputs=[])) == [(200, {"outputs": []})]
    assert computed == [0]


def test_the_first_call_of_a_batch_waits_no_longer_than_it_must(start_container, batches, odd):
    container = start_container(batching=batches.BatchingOptions(max_rows=1000, timeout_seconds=0.01))
    container.load("m", odd)
    assert answers(container, ask("positive", instances=[3]), ask("positive", instances=[4])) == [
        (200, {"predictions": [3]}),
        (200, {"predictions": [4]}),
    ]


async def test_calls_join_while_a_batch_waits_for_its_turn(batches, threads):
    """With one turn, all that arrives during a computation is one batch."""
    model = SlowModel()
    options = batches.BatchingOptions(max_rows=100, timeout_seconds=0)
    batcher = batches.Batcher(model, options, threads=threads, turns=asyncio.Semaphore(1))
    first = asyncio.create_task(batcher.predict(b"0"))
    await asyncio.to_thread(model.started.wait)
    others = [asyncio.create_task(batcher.predict(b"%d" % number)) for number in range(1, 6)]
    while sum(len(batch.calls) for batch in batcher._open.values()) < 5:
        await asyncio.sleep(0.001)
    model.go_on.set()
    assert await asyncio.gather(first, *others) == [b'{"predictions":[%d]}' % number for number in range(6)]
    assert model.computed == [1, 5]


async def test_a_call_that_was_given_up_is_not_computed_and_the_others_are(batches, threads):
    model = SlowModel()
    model.go_on.set()
    options = batches.BatchingOptions(max_rows=3, timeout_seconds=HALF_A_MINUTE)
    batcher = batches.Batcher(model, options, threads=threads, turns=asyncio.Semaphore(1))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await batcher.predict(b"7")
    got = await asyncio.gather(batcher.predict(b"8"), batcher.predict(b"9"))
    assert got == [b'{"predictions":[8]}', b'{"predictions":[9]}']
    assert model.computed == [2]


def test_a_model_that_is_unloaded_answers_the_batch_that_waits(start_container, batches, odd):
    container = start_container(batching=batches.BatchingOptions(max_rows=8, timeout_seconds=HALF_A_MINUTE))
    container.load("m", odd)
    calls = [ask("positive", instances=[number]) for number in (1, 2)]
    got = container.together(*calls, ("DELETE", "/models/m", b"", {}))
    assert got[2][0] == 200
    for number, (status, _, body) in zip((1, 2), got[:2], strict=True):
        assert (status, body) in ((200, b'{"predictions":[%d.0]}' % number), (404, body))
    assert container.call("GET", "/models") == (200, {})
    assert container.load("m", odd)[0] == 200


def test_random_calls_are_answered_as_without_batching(start_container, batches, models):
    """Real concurrency: three models of several signatures, calls of many sizes, good ones and bad ones."""
    options = batches.BatchingOptions(max_rows=6, timeout_seconds=0.002)
    plain, batching = start_container(), start_container(batching=options, memory_bytes=64 * MEBIBYTE)
    for container in (plain, batching):
        for name in "abc":
            assert container.load(name, models / "linear")[0] == 200
    chosen = np.random.default_rng(6)
    calls = [_random_call(chosen) for _ in range(400)]
    expected = [plain.together(call)[0] for call in calls]
    for start in range(0, len(calls), 80):
        assert batching.together(*calls[start : start + 80]) == expected[start : start + 80]
    assert Counter(status for status, _, _ in expected).keys() == {200, 400}


def _random_call(chosen: np.random.Generator) -> tuple:
    size = int(chosen.integers(1, 9))
    numbers = chosen.integers(-50, 50, (size, 2)).tolist()
    texts = [str(number) for number, _ in numbers]
    document = [
        {"instances": numbers},
        {"inputs": {"x": numbers}},
        {"signature_name": "combine", "instances": [{"a": a, "b": b} for a, b in numbers]},
        {"signature_name": "upper", "inputs": texts},
        {"signature_name": "add", "inputs": {"x": [1] * size, "y": [2] * int(chosen.choice([size, size + 2]))}},
        {"signature_name": "total", "inputs": [a for a, _ in numbers]},
        {"instances": [[1, 2, 3]] * size},
    ][chosen.integers(7)]
    name = chosen.choice(list("abc"))
    return "POST", f"/models/{name}/invoke", json.dumps(document).encode(), {"content_type": "application/json"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"ENABLE_BATCHING": "false", "MAX_BATCH_SIZE": "x"}, None),
        ({"ENABLE_BATCHING": "true"}, (8, 0.001)),
        ({"ENABLE_BATCHING": "True", "MAX_BATCH_SIZE": "32", "BATCH_TIMEOUT_MICROS": "0"}, (32, 0)),
    ],
)
def test_the_variables_of_awss_container_switch_it_on(batches, environment, expected):
    options = batches.BatchingOptions.from_environment(prefixed(environment))
    assert options == (expected and batches.BatchingOptions(*expected))


@pytest.mark.parametrize("wrong", [{"MAX_BATCH_SIZE": "0"}, {"MAX_BATCH_SIZE": "many"}, {"BATCH_TIMEOUT_MICROS": "-1"}])
def test_a_number_that_is_none_is_named(batches, wrong):
    with pytest.raises(ValueError, match=f"SAGEMAKER_TFS_{next(iter(wrong))} is '.*'. Set it to a whole number"):
        batches.BatchingOptions.from_environment(prefixed({"ENABLE_BATCHING": "true"} | wrong))


def prefixed(environment: dict[str, str]) -> dict[str, str]:
    return {f"SAGEMAKER_TFS_{name}": value for name, value in environment.items()}


class SlowModel:
    """A servable that answers with the number that it was asked, when it may go on."""

    name = "slow"

    def __init__(self) -> None:
        import tensorflow as tf

        self.started, self.go_on = threading.Event(), threading.Event()
        self.computed: list[int] = []
        self.specifications = self.outputs = {"x": tf.TensorSpec((None,), tf.int32)}

    def read(self, body: bytes):
        from local_sagemaker.container.servables import Request

        return Request("s", self, {"x": np.array([int(body)])}, True)

    def answer(self, request) -> bytes:
        return b'{"predictions":%s}' % str(self.call(request.arguments)["x"].tolist()).encode()

    def call(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.computed.append(len(inputs["x"]))
        self.started.set()
        assert self.go_on.wait(HALF_A_MINUTE)
        return inputs
