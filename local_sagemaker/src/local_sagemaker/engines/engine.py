"""The two ways to hold a SavedModel in memory, and the choice between them.

``SharedEngine`` is the fast one: an architecture that the model shares with others, and the model's own weights, mapped
from a file. ``OwnEngine`` loads the model as TensorFlow Serving does, and serves everything. ``open_engine`` takes the
first that serves the model exactly; before a new architecture serves anyone, its answers are compared with those of the
second. That takes longer than the second takes to load: a model that shall answer at once is served by it until then.
"""

import contextlib
import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from local_sagemaker import memory, settings
from local_sagemaker.engines import prepared_weights
from local_sagemaker.engines.architectures import Architecture, Architectures
from local_sagemaker.engines.graph_calls import GraphCall
from local_sagemaker.engines.prepared_weights import PreparationError, PreparedWeights
from local_sagemaker.engines.pure_bodies import ImpureGraphError
from local_sagemaker.engines.rehearsals import RehearsalError, rehearse
from local_sagemaker.engines.saved_graphs import NO_SIGNATURES
from local_sagemaker.engines.saved_models import SavedModel
from local_sagemaker.engines.signatures import Arrays, Signature

logger = logging.getLogger(__name__)
ARCHITECTURES = Architectures()  # of this process
_LARGEST_REHEARSAL = 64 * settings.MEBIBYTE  # of weights, which are in memory twice meanwhile
_SMALL_MODEL_SECONDS = 0.004  # for two images; above, more than one core pays


class Engine(Protocol):
    """A model in memory."""

    name: str  # name of the engine, for the log
    reason: str  # why the model shares no graph, or empty
    signatures: dict[str, Signature]  # signatures by name
    weight_bytes: int  # bytes of the weights
    footprint: int  # bytes that the model takes for itself: its weights, and its graph if it shares none
    is_large: bool  # whether a call may keep all cores busy for long
    was_prepared: bool  # whether loading it took more than mapping what was prepared before
    is_provisional: bool  # whether `succeed` finds a faster one

    def close(self) -> None:
        """Release the memory; the caller has forgotten the signatures by then."""


class NewArchitectureError(RuntimeError):
    """No model in memory is of the architecture, which must be built and rehearsed first."""

    def __init__(self, weight_bytes: int) -> None:
        """Create the error."""
        super().__init__("The graph of its architecture is being built.")
        self.weight_bytes = weight_bytes  # what the model will take when that is done


def open_engine(folder: Path, *, at_once: bool = False) -> Engine:
    """Load a version of a model by the fastest engine that serves it exactly; prepared weights are kept beside it.

    ``at_once`` asks for a provisional engine rather than to wait until a new architecture is built.
    """
    if not settings.shares_architectures():
        return OwnEngine(folder, reason="LOCAL_SAGEMAKER_ENGINE says so.")
    try:
        shared, reason = _share(folder, known_only=at_once)
    except NewArchitectureError as error:
        return OwnEngine(folder, reason=str(error), successor_bytes=error.weight_bytes)
    return shared or OwnEngine(folder, reason=reason)


def succeed(provisional: Engine, folder: Path) -> Engine:
    """Return what takes the place of a provisional engine of the same model: that one itself if nothing serves better.

    The caller closes the provisional engine if it got another.
    """
    assert isinstance(provisional, OwnEngine)
    shared, reason = _share(folder, reference=provisional)
    if shared is None:
        provisional.keep(reason)
    return shared or provisional


def _share(folder: Path, **options: Any) -> "tuple[SharedEngine | None, str]":
    """Return the fast engine of a model, or why it has none."""
    try:
        return SharedEngine(folder, **options), ""
    except NewArchitectureError:
        raise
    except (ImpureGraphError, PreparationError, RehearsalError) as error:
        reason = str(error)
        logger.info("%s gets a graph of its own: %s", folder, reason)
    except Exception as error:  # its own graph serves the model, or says what is wrong with it
        reason = f"{type(error).__name__}: {error}"
        logger.warning("%s gets a graph of its own: %s", folder, reason)
    return None, reason


class OwnEngine:
    """A graph and variables of the model's own, in a session of TensorFlow 1: what TensorFlow Serving does, too.

    Unlike ``tf.saved_model.load`` it serves models of TensorFlow 1 with reference variables, or that parse examples.
    """

    name = "own graph"
    is_large = True  # nothing tells how long a call takes
    was_prepared = True

    def __init__(self, folder: Path, *, reason: str = "", successor_bytes: int | None = None) -> None:
        """Load the model, which shares no graph for a reason.

        What a successor takes that may share one later counts, too: both are in memory for a while.
        """
        self.reason = reason
        self.is_provisional = successor_bytes is not None
        self._successor_bytes = successor_bytes or 0
        # As in TensorFlow Serving; without a configuration, it is what TensorFlow did before that decides.
        config = tf.compat.v1.ConfigProto(allow_soft_placement=False)
        # For the few calls of a provisional engine, optimizing its graphs would take most of the load. One that stays,
        # which is rare, loses little by it: a call of the small CNN took 1.1 ms either way.
        config.graph_options.rewrite_options.disable_meta_optimizer = self.is_provisional
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
            self.signatures: dict[str, Signature] = {
                name: _own_signature(self._session, meta_graph, definition)
                for name, definition in meta_graph.signature_def.items()
                if name not in NO_SIGNATURES
            }
        except BaseException:
            self.close()
            raise
        source = SavedModel(folder)
        self.weight_bytes = source.weight_bytes
        self.footprint = self.weight_bytes + source.graph.own_bytes + self._successor_bytes

    def keep(self, reason: str) -> None:
        """Let the model keep its own graph for good, because it shares none for a reason."""
        self.reason = reason
        self.footprint -= self._successor_bytes
        self._successor_bytes = 0
        self.is_provisional = False

    def close(self) -> None:
        """Release the model."""
        self.signatures = {}
        self._session.close()
        self._session = None
        memory.return_circles()


def _own_signature(
    session: tf.compat.v1.Session, meta_graph: meta_graph_pb2.MetaGraphDef, definition: meta_graph_pb2.SignatureDef
) -> Signature:
    inputs, outputs = _dense(definition.inputs), _dense(definition.outputs)
    specifications, results = _specifications(inputs), _specifications(outputs)
    others = sorted(definition.inputs.keys() - inputs.keys() | definition.outputs.keys() - outputs.keys())
    if others:

        def refuse(_: Arrays) -> Arrays:
            reason = "neither an input nor an output may be ragged or sparse. Use to_tensor() or to_dense()."
            raise tf.errors.InvalidArgumentError(None, None, f"{', '.join(others)}: {reason}")

        return Signature(specifications, results, refuse)
    call = GraphCall(
        session,
        specifications,
        list(results),
        feeds=[info.name for info in inputs.values()],
        fetches=[info.name for info in outputs.values()],
        graph=lambda: meta_graph.graph_def,
    )
    return Signature(specifications, results, call)


def _dense(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, meta_graph_pb2.TensorInfo]:
    return {name: info for name, info in sorted(tensors.items()) if info.WhichOneof("encoding") == "name"}


def _specifications(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), info.dtype, name) for name, info in tensors.items()}


class SharedEngine:
    """An architecture for each signature, shared with other models, and the model's weights, mapped from a file."""

    name = "shared graph"
    reason = ""
    is_provisional = False

    def __init__(self, folder: Path, *, known_only: bool = False, reference: OwnEngine | None = None) -> None:
        """Load the model, and prepare its weights unless that was done before.

        ``known_only`` refuses a model whose architecture would have to be rehearsed first. Its weights are prepared
        nevertheless: all that a load writes is on the disk when it ends. ``reference`` is the same model, for the
        rehearsal; else it is loaded when it is needed.

        Raises:
            NewArchitectureError: If the model is refused.
            ImpureGraphError: If a signature is no pure function of inputs and weights.
            PreparationError: If the weights cannot be prepared.
            RehearsalError: If an architecture does not compute what the model does.
        """
        self.signatures: dict[str, Signature] = {}
        self.weight_bytes = self.footprint = 0
        self.is_large = self.was_prepared = False
        self._keys: list[str] = []
        self._known_only = known_only
        source = SavedModel(folder)
        path = prepared_weights.path_of(folder)
        try:
            self._attach(prepared_weights.open_prepared(path, source.digest), source, reference)
        except (PreparationError, OSError):
            self.was_prepared = True
            try:
                self._attach(_prepare(path, source), source, reference)
            except RehearsalError:
                path.unlink(missing_ok=True)  # nothing will use it
                raise

    def close(self) -> None:
        """Release the weights, and the architectures that no other model has."""
        self.signatures = {}
        while self._keys:
            ARCHITECTURES.release(self._keys.pop())

    def _attach(self, prepared: PreparedWeights, source: SavedModel, own: OwnEngine | None) -> None:
        is_known = all(key in ARCHITECTURES for key, _ in prepared.signatures.values())
        if self._known_only and not is_known and prepared.size <= _LARGEST_REHEARSAL:
            raise NewArchitectureError(prepared.size)
        self.weight_bytes = self.footprint = prepared.size
        with contextlib.ExitStack() as stack:

            @functools.cache
            def reference() -> OwnEngine:
                """Return the model with a graph of its own, to compare the first new architecture with."""
                return own or stack.enter_context(contextlib.closing(OwnEngine(source.folder)))

            try:
                for name, (key, weights) in prepared.signatures.items():
                    build = functools.partial(_build, source, name, key, weights, reference)
                    architecture = ARCHITECTURES.take(key, build)
                    self._keys.append(key)
                    if not architecture.accepts(weights):
                        raise PreparationError(f"The weights are not those of the signature {name!r}.")
                    self.signatures[name] = _shared_signature(architecture, weights)
                    self.is_large |= architecture.all_cores
            except BaseException:
                self.close()
                raise


def _shared_signature(architecture: Architecture, weights: list[np.ndarray]) -> Signature:
    return Signature(architecture.inputs, architecture.outputs, lambda inputs: architecture.call(inputs, weights))


def _prepare(path: Path, source: SavedModel) -> PreparedWeights:
    signatures = {name: (graph.key, graph.weights) for name, graph in source.graph.pure_graphs.items()}
    return prepared_weights.prepare(path, source.digest, signatures, read=source.read)


def _build(
    source: SavedModel, name: str, key: str, weights: list[np.ndarray], reference: Callable[[], OwnEngine]
) -> Architecture:
    """Make an architecture from a signature of the model, rehearse it, and give it the threads that it needs."""
    if name not in source.graph.pure_graphs or source.graph.pure_graphs[name].key != key:
        raise PreparationError(f"The signature {name!r} is of another architecture.")
    graph = source.graph.pure_graphs[name]
    if sum(weight.nbytes for weight in weights) > _LARGEST_REHEARSAL:
        return Architecture(graph, all_cores=True)
    architecture = Architecture(graph, all_cores=False)
    try:
        if not architecture.accepts(weights):
            raise PreparationError(f"The weights are not those of the signature {name!r}.")
        seconds = rehearse(reference().signatures[name], _shared_signature(architecture, weights))
    except BaseException:
        architecture.close()
        raise
    if seconds <= _SMALL_MODEL_SECONDS:
        return architecture
    architecture.close()
    return Architecture(graph, all_cores=True)
