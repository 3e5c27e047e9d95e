"""Determinism: the same seed, threads and data lead to the same weights, bit by bit.

The order of the batches depends on the seed alone (see ``batching``), and TensorFlow's CPU kernels divide their sums by
the number of threads, not by which of them is free. So ``tf.config.experimental.enable_op_determinism`` is not needed.
"""

import os
import platform
from pathlib import Path

import keras
import tensorflow as tf

# What decides which of oneDNN's kernels run, and so the last bits of their sums.
_EXTENSIONS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
_CPU_INFO = Path("/proc/cpuinfo")


def make_deterministic(*, seed: int, threads: int) -> int:
    """Set all seeds and the number of threads; call this before anything else of TensorFlow.

    Args:
        seed: Decides initial weights and dropout.
        threads: Threads that share an operation, because sums are rounded differently for each number; 0 for as many
            as there are cores.

    Returns:
        The number of threads.

    Raises:
        RuntimeError: TensorFlow runs already, with another number of threads.
    """
    keras.utils.set_random_seed(seed)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    return threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or _count_cores()


def describe_processor() -> dict[str, str | list[str]]:
    """Return the architecture of the processor and the vector extensions that its system names.

    On another kind of processor the same training ends in slightly different weights.
    """
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return {"architecture": platform.machine(), "extensions": [name for name in _EXTENSIONS if name in flags]}


def _count_cores() -> int:
    """Return the number of cores that this process may use, as TensorFlow counts them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
