"""Live traffic: the calls of a trace, made at their times, and how long each of them took."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from botocore.config import Config

from helpers.aws import invocation
from helpers.capacity import Trace
from helpers.display.progress import Step
from helpers.endpoint import MultiModelEndpoint

MOST_CALLS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Replay:
    """Calls that were made."""

    seconds: np.ndarray  # float64 (M,), from the moment that each was due to its answer
    began: datetime  # when the trace began


def run(
    endpoint: MultiModelEndpoint, trace: Trace, *, target_models: Sequence[str], images: np.ndarray | Sequence[bytes]
) -> Replay:
    """Make the calls of a trace at their times, whether or not earlier ones have been answered.

    That is an *open loop*: a client that waited for each answer would call less often just when the endpoint is slow,
    and hide it. The numbers of the trace stand for `target_models`; each call asks about the same images.

    Raises:
        ClientError: If a call fails; those under way are waited for, and no further one is made.
    """
    body, seconds = invocation.request_body(images), np.empty(len(trace))
    failures: list[Exception] = []
    # A call that is made again after a failure would count as a slow one.
    options = Config(max_pool_connections=MOST_CALLS_AT_ONCE, retries={"total_max_attempts": 1})
    runtime = endpoint.connection.boto.client("sagemaker-runtime", config=options)

    def call(index: int, due: float) -> None:
        try:
            invocation.invoke(runtime, endpoint.name, body, target_model=target_models[trace.models[index]])
        except Exception as error:
            failures.append(error)
        seconds[index] = time.perf_counter() - due
        step.advance()

    stays = f"The endpoint {endpoint.name} stays, and on AWS it bills until you delete it."
    with (
        Step(f"Calls of {endpoint.name}", total=len(trace), unit="calls", if_stopped=stays) as step,
        ThreadPoolExecutor(MOST_CALLS_AT_ONCE) as pool,
    ):
        began, start = datetime.now(UTC), time.perf_counter()
        for index, moment in enumerate(trace.starts.tolist()):
            due = start + moment
            time.sleep(max(0.0, due - time.perf_counter()))
            if failures:
                break
            pool.submit(call, index, due)
    if failures:
        raise failures[0]
    return Replay(seconds, began)
