"""Batches: concurrent calls of one signature of a model, computed as one, where the model's container asks for it.

This is the batching of TensorFlow Serving, switched on and set as in AWS's container (``BatchingOptions``). Calls wait
a moment for each other; those whose inputs agree in all but the first dimension are joined along it, and the outputs
are divided again. The owner of the model vouches that no row of a batch depends on another, as for TensorFlow Serving.
A call that cannot share a batch is computed alone, and so is each call of a batch that fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from local_sagemaker.container import predict_responses
from local_sagemaker.container.servables import Request, Servable, UnloadedError
from local_sagemaker.container.threads import Threads
from local_sagemaker.engines.signatures import Arrays

logger = logging.getLogger(__name__)
_PREFIX = "SAGEMAKER_TFS_"


@dataclass(frozen=True)
class BatchingOptions:
    """How calls are batched."""

    max_rows: int = 8  # largest first dimension of a batch
    timeout_seconds: float = 0.001  # how long the first call of a batch waits for others

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "BatchingOptions | None":
        """Read the variables of AWS's container; None if they do not switch batching on.

        They are ``SAGEMAKER_TFS_ENABLE_BATCHING``, ``SAGEMAKER_TFS_MAX_BATCH_SIZE`` and
        ``SAGEMAKER_TFS_BATCH_TIMEOUT_MICROS``. How many batches are computed or wait at one time is not the user's to
        say here.

        Raises:
            ValueError: If a number is none.
        """
        if environment.get(f"{_PREFIX}ENABLE_BATCHING", "false").lower() != "true":
            return None
        size = _number(environment, "MAX_BATCH_SIZE", cls.max_rows, at_least=1)
        micros = _number(environment, "BATCH_TIMEOUT_MICROS", int(cls.timeout_seconds * 1e6), at_least=0)
        return cls(size, micros / 1e6)


@dataclass
class _Batch:
    calls: list[tuple[Request, asyncio.Future[bytes]]] = field(default_factory=list)
    rows: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)


class Batcher:
    """The open batches of one model."""

    def __init__(
        self, servable: Servable, options: BatchingOptions, *, threads: Threads, turns: asyncio.Semaphore
    ) -> None:
        """Create an empty set of batches.

        As many are computed at one time as there are turns; a batch takes calls in until it has its turn.
        """
        self._servable = servable
        self._options = options
        self._threads = threads
        self._turns = turns
        self._open: dict[Hashable, _Batch] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._alone: set[str] = set()  # signatures whose outputs turned out to have no batch
        self._closed = False

    async def predict(self, body: bytes) -> bytes:
        """Answer a predict request, together with others; result and errors are those of ``Servable.predict``."""
        request = await self._threads.run(self._servable.read, body)
        if self._closed:
            raise UnloadedError(self._servable.name)
        rows = 0 if request.name in self._alone else _rows(request)
        batch = self._batch(request, rows)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        batch.calls.append((request, answer))
        batch.rows += rows
        if not 0 < batch.rows < self._options.max_rows:
            batch.full.set()
        return await answer

    async def close(self) -> None:
        """Compute the batches that wait, and refuse calls from now on."""
        self._closed = True
        for batch in self._open.values():
            batch.full.set()
        while self._running:
            await asyncio.wait(self._running)

    def _batch(self, request: Request, rows: int) -> _Batch:
        """Return a batch that has room for a request; one of its own if it has no rows, or fills a batch."""
        form = _form(request) if 0 < rows < self._options.max_rows else None
        batch = self._open.get(form)
        if batch and batch.rows + rows <= self._options.max_rows:
            return batch
        if batch:
            batch.full.set()
        new = _Batch()
        if form:
            self._open[form] = new
        task = asyncio.create_task(self._run(new, form))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return new

    async def _run(self, batch: _Batch, form: Hashable) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.timeout_seconds):
                await batch.full.wait()
        async with self._turns:
            if self._open.get(form) is batch:
                del self._open[form]
            waiting = [(request, answer) for request, answer in batch.calls if not answer.done()]
            requests = [request for request, _ in waiting]
            results = await self._threads.run(self._compute, requests)
        for (_, answer), result in zip(waiting, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    def _compute(self, requests: Sequence[Request]) -> list[bytes | Exception]:
        if len(requests) > 1:
            try:
                outputs = requests[0].signature.call(_join([request.arguments for request in requests]))
                parts = _divide(outputs, [_rows(request) for request in requests])
            except _IndivisibleError:
                self._alone.add(requests[0].name)
            except Exception:  # each alone tells whose fault it is
                logger.info("a batch of %s failed; each of its calls is computed alone", self._servable.name)
            else:
                return [_try(_write, part, request.rows) for part, request in zip(parts, requests, strict=True)]
        return [_try(self._servable.answer, request) for request in requests]


class _IndivisibleError(ValueError):
    """An output has another first dimension than the inputs."""


def _rows(request: Request) -> int:
    """Return the first dimension of a request, or 0 if it cannot be in a batch."""
    signature = request.signature
    forms = [*signature.specifications.values(), *signature.outputs.values()]
    if not all(form.shape.rank and form.shape[0] is None for form in forms):
        return 0
    lengths = {array.shape[0] if array.ndim else 0 for array in request.arguments.values()}
    return lengths.pop() if len(lengths) == 1 else 0


def _form(request: Request) -> Hashable:
    """Return what calls of one batch have in common."""
    return request.name, tuple((name, array.shape[1:]) for name, array in request.arguments.items())


def _join(inputs: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}


def _divide(outputs: Arrays, rows: Sequence[int]) -> list[Arrays]:
    ends = np.cumsum(rows)
    if any(array.ndim == 0 or len(array) != ends[-1] for array in outputs.values()):
        raise _IndivisibleError
    parts = {name: np.split(array, ends[:-1]) for name, array in outputs.items()}
    return [{name: divided[index] for name, divided in parts.items()} for index in range(len(rows))]


def _write(outputs: Arrays, rows: bool) -> bytes:
    return predict_responses.write_response(outputs, rows=rows)


def _try(function: Callable[..., bytes], *arguments: Any) -> bytes | Exception:
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _number(environment: Mapping[str, str], name: str, default: int, *, at_least: int) -> int:
    text = environment.get(_PREFIX + name, str(default))
    if not text.isdecimal() or int(text) < at_least:
        raise ValueError(f"{_PREFIX}{name} is {text!r}. Set it to a whole number of {at_least} or more.")
    return int(text)
