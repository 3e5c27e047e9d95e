"""Live traffic: the calls of a trace, made at their times, and how long each of them took."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from botocore.config import Config

from helpers.capacity import Trace
from helpers.endpoint import MultiModelEndpoint
from helpers.progress import Step

MOST_CALLS_AT_ONCE = 32
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, eq=False)
class Replay:
    """Calls that were made.

    Attributes:
        trace: When they were due, and which model they named.
        seconds: float64 array (M,), from the moment that each was due to its answer.
        began: When the trace began.
    """

    trace: Trace
    seconds: np.ndarray
    began: datetime

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent of the calls were answered."""
        return float(np.percentile(self.seconds, percent))


def replay(
    endpoint: MultiModelEndpoint,
    trace: Trace,
    *,
    target_models: Sequence[str],
    body: bytes,
    watch: bool = False,
    step: Step | None = None,
) -> Replay:
    """Make the calls of a trace at their times, whether or not earlier ones have been answered.

    That is an *open loop*: a client that waited for each answer would call less often just when the endpoint is slow,
    and hide it.

    Args:
        endpoint: An endpoint in service.
        trace: When to call which model.
        target_models: Their names, by the numbers of the trace.
        body: The request, the same for all calls, as ``endpoint.request_body`` makes it.
        watch: Look at CloudWatch about once a second meanwhile; the stand-in counts loaded models at each look, AWS
            by itself each minute.
        step: The step that these calls are a part of; by default one of their own.

    Raises:
        ClientError: If a call fails; those under way are waited for, and no further one is made.
    """
    if step is None:
        with calls_made(endpoint, len(trace)) as step:
            return replay(endpoint, trace, target_models=target_models, body=body, watch=watch, step=step)
    seconds = np.empty(len(trace))
    failures: list[Exception] = []
    # A call that is made again after a failure would count as a slow one.
    options = Config(max_pool_connections=MOST_CALLS_AT_ONCE, retries={"total_max_attempts": 1})
    runtime = endpoint.connection.boto.client("sagemaker-runtime", config=options)

    def call(index: int, due: float) -> None:
        try:
            response = runtime.invoke_endpoint(
                EndpointName=endpoint.name,
                ContentType="application/json",
                Body=body,
                TargetModel=target_models[trace.models[index]],
            )
            response["Body"].read()
        except Exception as error:
            failures.append(error)
        seconds[index] = time.perf_counter() - due
        step.advance()

    with _looks(endpoint, watch), ThreadPoolExecutor(MOST_CALLS_AT_ONCE) as pool:
        began, start = datetime.now(UTC), time.perf_counter()
        for index, moment in enumerate(trace.starts.tolist()):
            due = start + moment
            time.sleep(max(0.0, due - time.perf_counter()))
            if failures:
                break
            pool.submit(call, index, due)
    if failures:
        raise failures[0]
    return Replay(trace, seconds, began)


def calls_made(endpoint: MultiModelEndpoint, count: int) -> Step:
    """Return the step that shows so many calls of an endpoint."""
    stays = f"The endpoint {endpoint.name} stays, and on AWS it bills until you delete it."
    return Step(f"Calls of {endpoint.name}", total=count, unit="calls", if_stopped=stays)


@contextmanager
def _looks(endpoint: MultiModelEndpoint, watch: bool) -> Iterator[None]:
    """Look at the number of loaded models from time to time while a block runs."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            endpoint.metric("LoadedModelCount", minutes=1)

    thread = threading.Thread(target=look, daemon=True)
    if watch:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if watch:
            thread.join()
