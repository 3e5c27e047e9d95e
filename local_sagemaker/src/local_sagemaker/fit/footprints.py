"""The footprint of a model: what the container needs for it, measured by loading copies of it as the container does.

This is a program of its own, because memory is measured well only in a process that has done nothing else yet:
``python -m local_sagemaker.fit.footprints RESULT COPY COPY …``. ``capacities`` runs it.
"""

import asyncio
import base64
import itertools
import os
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from local_sagemaker import memory
from local_sagemaker.container.invocations import Answer
from local_sagemaker.container.loaded_models import LoadedModels
from local_sagemaker.container.loader import Options
from local_sagemaker.engines.rehearsals import make_up_inputs
from local_sagemaker.memory import Usage

_WARM_CALLS = 50
_WARM_SECONDS = 2.0  # of all calls of a signature; a slow model is called less often, but three times at least


class LoadError(RuntimeError):
    """The container does not load the model; the message tells why."""


async def measure(copies: list[Path]) -> dict[str, Any]:
    """Load at least two copies, given by their base paths, one after the other, call each, and unload them.

    Sizes are in bytes, times in seconds.

    Raises:
        LoadError: If the model cannot be loaded.
    """
    models = LoadedModels(Options(memory_bytes=sys.maxsize))
    try:
        container = _usage()
        used, seconds = [container], []
        calls: dict[str, float | None] = {}
        for number, folder in enumerate(copies):
            seconds.append(await _load(models, str(number), folder))
            await models.settle()
            calls = await _call(models, str(number), often=number == 0) | calls
            used.append(_usage())
        servable = models.servable("0")
        again = []
        for number, folder in list(enumerate(copies))[1:]:
            _check(await models.unload(str(number)))
            again.append(await _load(models, str(number), folder))
        engine = servable.engine
        document = {
            "engine": engine.name,
            "reason": engine.reason,  # why the model shares no graph, or empty
            "has_handler": (copies[0] / "code" / "inference.py").is_file(),  # which was loaded with it
            "weight_bytes": engine.weight_bytes,
            "counted_bytes": engine.footprint,  # what a copy counts against the limit of an instance
        }
        del servable, engine
        for number in range(len(copies)):
            _check(await models.unload(str(number)))
        further = [after - before for before, after in itertools.pairwise(used[1:])]
        return (
            document
            | {
                "container": container,  # before the first copy
                "first": used[1] - container,  # with the graph that the others may share
                "further": Usage(
                    _typical(each.anonymous for each in further), _typical(each.mapped for each in further)
                ),
                "left": _usage() - container,  # after all were unloaded, what they share with later ones included
                "first_load": seconds[0],
                "further_load": statistics.median(seconds[1:]),
                "prepared_load": statistics.median(
                    again
                ),  # of a copy that was loaded before, while another was in memory
                "calls": calls,  # median of warm calls by signature; None where it refuses a made-up instance
            }
        )
    finally:
        await models.close()


def request_body(name: str, specifications: Mapping[str, tf.TensorSpec]) -> bytes:
    """Return a request with one made-up instance, in the column format, which takes signatures without a batch, too.

    Raises:
        TypeError: If JSON has no such values.
    """
    values = make_up_inputs(specifications).items()
    inputs = {key: _one(value, specifications[key]).tolist() for key, value in values}
    return orjson.dumps(
        {"signature_name": name, "inputs": inputs},
        default=lambda text: {"b64": base64.b64encode(text).decode()},  # which numbers that JSON lacks are not
    )


def main() -> None:
    """Measure the copies that the command line names, and write the result as JSON."""
    result, *copies = map(Path, sys.argv[1:])
    try:
        document = asyncio.run(measure(copies))
    except LoadError as error:
        document = {"error": str(error)}
    result.write_bytes(orjson.dumps(document))
    sys.stdout.flush()
    os._exit(0)  # what is left needs no tidying, which takes TensorFlow a while


async def _load(models: LoadedModels, name: str, folder: Path) -> float:
    started = time.perf_counter()
    _check(await models.load(orjson.dumps({"model_name": name, "url": str(folder)})))
    return time.perf_counter() - started


async def _call(models: LoadedModels, name: str, *, often: bool) -> dict[str, float | None]:
    """Call every signature that has inputs, so that all memory that a call needs is there, and time the calls."""
    seconds: dict[str, float | None] = {}
    for signature, form in models.servable(name).specifications.items():
        try:
            body = request_body(signature, form)
        except TypeError:
            seconds[signature] = None
            continue
        seconds[signature] = await _median(models, name, body, calls=_WARM_CALLS if often else 2)
    return seconds


async def _median(models: LoadedModels, name: str, body: bytes, *, calls: int) -> float | None:
    seconds: list[float] = []
    until = time.perf_counter() + _WARM_SECONDS
    for number in range(calls + 1):
        started = time.perf_counter()
        answer = await models.predict(name, None, "predict", body)
        if answer.status != 200:
            return None
        if number:  # the first one optimizes the graph
            seconds.append(time.perf_counter() - started)
        if time.perf_counter() > until and len(seconds) >= min(calls, 3):
            break
    return statistics.median(seconds)


def _usage() -> Usage:
    memory.return_circles()
    return memory.usage()


def _typical(sizes: Iterable[int]) -> int:
    return max(0, int(statistics.median(sizes)))  # of nothing, a measurement may find a little less


def _check(answer: Answer) -> None:
    if answer.status != 200:
        raise LoadError(orjson.loads(answer.body).get("error", "The log says why."))


def _one(value: np.ndarray, specification: tf.TensorSpec) -> np.ndarray:
    rank = specification.shape.rank
    return value[:1] if rank and specification.shape[0] is None else value


if __name__ == "__main__":
    main()
