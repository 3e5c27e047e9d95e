import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from local_sagemaker.archives import pack
from local_sagemaker.fit import capacities, tables
from local_sagemaker.fit.capacities import Capacity, ModelError
from local_sagemaker.hosting.model_cache import ModelCache
from local_sagemaker.hosting.model_states import ModelSource
from local_sagemaker.services.metrics import VariantMetrics
from local_sagemaker.services.objects import StoredObject
from local_sagemaker.settings import GIBIBYTE, MEBIBYTE, Settings


@pytest.fixture(scope="module")
def heavy(model_archives):
    """A model with a shared graph, measured once."""
    return capacities.measure(model_archives["heavy"], Settings())


@pytest.fixture(scope="module")
def table_archive(kinds, tmp_path_factory):
    """A model with a lookup table, which has a graph of its own."""
    folder = tmp_path_factory.mktemp("table")
    kinds.save("lookup_table", folder / "model" / "1")
    pack(folder / "model", folder / "model.tar.gz")
    return folder / "model.tar.gz"


@pytest.fixture(scope="module")
def table(table_archive):
    return capacities.measure(table_archive, Settings())


class Container:
    """The real container's models, without a process between."""

    def __init__(self, memory_bytes: int) -> None:
        from local_sagemaker.container.loaded_models import LoadedModels
        from local_sagemaker.container.loader import Options

        self.models = LoadedModels(Options(memory_bytes=memory_bytes))

    async def call(self, method, path, json=None):
        name = path.rpartition("/")[2]
        answer = await (self.models.load(_bytes(json)) if method == "POST" else self.models.unload(name))
        return answer.status, answer.body.decode()


class Bucket:
    """One archive under any key."""

    def __init__(self, archive: Path) -> None:
        self._stored = StoredObject("key", archive, archive.stat().st_size, etag="e")

    def get(self, bucket, key):
        return self._stored


class Silence(VariantMetrics):
    def __init__(self) -> None:
        pass

    def record(self, *_, **__) -> None:
        pass

    record_seconds = record


def _bytes(document) -> bytes:
    return json.dumps(document).encode()


def really_held(archive: Path, folder: Path, capacity: Capacity) -> tuple[int, int]:
    """How many copies an instance has loaded, and on its disk, after calls of more than fit."""

    async def call_more_than_fit() -> tuple[int, int]:
        limits = {"instance_memory_bytes": capacity.memory_limit, "instance_disk_bytes": capacity.disk_limit}
        settings = replace(Settings(home=folder), **limits)
        cache = ModelCache("i-1", folder, settings=settings, objects=Bucket(archive), variant_metrics=Silence())
        container = Container(capacity.memory_limit)
        cache.container = container
        try:
            for number in range(max(capacity.copies_in_memory, capacity.copies_on_disk) + 2):
                async with cache.use(ModelSource("bucket", f"{number}.tar.gz", f"{number}.tar.gz")):
                    pass
            on_disk = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
            return cache.loaded_count, len(on_disk)
        finally:
            await cache.close()
            for name in list(json.loads(container.models.list().body)):
                await container.models.unload(name)
            await container.models.close()

    return asyncio.run(call_more_than_fit())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "disk", "expected"),
    [(3.5, 16, (3, 7)), (3.0, 16, (2, 7)), (40.0, 9, (39, 4)), (0.5, 9, (0, 4)), (4.0, 0.5, (3, 0))],
)
def test_the_limits_tell_how_many_copies_fit(heavy, memory, disk, expected):
    limited = replace(heavy, memory_limit=int(memory * MEBIBYTE), disk_limit=int(disk * MEBIBYTE))
    assert (limited.copies_in_memory, limited.copies_on_disk) == expected
    assert limited.copies == min(expected)


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "disk"), [(3.5, 16), (40.0, 9)])
def test_as_many_copies_as_predicted_are_really_held(heavy, model_archives, tmp_path, memory, disk):
    limited = replace(heavy, memory_limit=int(memory * MEBIBYTE), disk_limit=int(disk * MEBIBYTE))
    loaded, on_disk = really_held(model_archives["heavy"], tmp_path, limited)
    assert (loaded, on_disk) == (limited.copies, limited.copies_on_disk)


@pytest.mark.slow
def test_as_many_copies_with_graphs_of_their_own_as_predicted_are_really_held(table, table_archive, tmp_path):
    limited = replace(table, memory_limit=4 * MEBIBYTE, disk_limit=10 * table.disk_bytes)
    assert 2 <= limited.copies_in_memory <= 5 < limited.copies_on_disk
    assert really_held(table_archive, tmp_path, limited)[0] == limited.copies_in_memory


@pytest.mark.alone
def test_a_copy_with_a_shared_graph_takes_its_weights_as_mapped_files(heavy):
    measured = heavy.measured
    assert (measured["engine"], measured["reason"]) == ("shared graph", "")
    assert measured["weight_bytes"] == measured["counted_bytes"] == MEBIBYTE
    assert MEBIBYTE <= measured["further"]["mapped"] <= MEBIBYTE * 5 // 4
    assert measured["further"]["anonymous"] < MEBIBYTE // 4
    assert measured["calls"]["serving_default"] > 0
    assert 0 < measured["prepared_load"] < measured["first_load"]


@pytest.mark.slow
def test_a_copy_with_a_graph_of_its_own_takes_about_what_it_counts(table):
    measured = table.measured
    assert measured["engine"] == "own graph"
    assert "initialization" in measured["reason"]
    really = measured["further"]["anonymous"]
    assert really / 2 < measured["counted_bytes"] < really * 2


@pytest.mark.slow
def test_the_table_and_the_document_tell_the_same(heavy):
    limited = replace(heavy, memory_limit=7 * MEBIBYTE // 2, disk_limit=GIBIBYTE)
    document = json.loads(json.dumps(limited.document()))
    assert document["copies"] == limited.copies == 3
    anonymous = document["memory_of_copies"]["anonymous"]
    measured = document["measured"]
    parts = [measured["container"], measured["first"], measured["further"], measured["further"]]
    assert anonymous == sum(part["anonymous"] for part in parts)
    said = tables.write(limited)
    assert "3 copies fit on an instance." in said
    assert f"about {anonymous / MEBIBYTE:,.1f} MiB" in said


@pytest.mark.slow
def test_a_model_that_does_not_fit_is_told_with_what_to_do(heavy):
    said = tables.write(replace(heavy, memory_limit=1000))
    assert "0 copies fit" in said
    assert "--memory-bytes" in said


@pytest.mark.slow
def test_a_folder_stays_as_it_is_and_its_inference_script_takes_the_memory_of_a_process(write_model, tmp_path):
    model = write_model("m", "def handler(data, context):\n    return data.read(), None\n")
    before = sorted(tmp_path.rglob("*"))
    capacity = capacities.measure(model, Settings(), copies=2)
    assert sorted(tmp_path.rglob("*")) == before
    assert capacity.measured["has_handler"]
    assert capacity.measured["further"]["anonymous"] > MEBIBYTE
    said = tables.write(capacity)
    assert "load, from the folder" in said
    assert "inference.py was loaded" in said


@pytest.mark.slow
def test_what_is_no_model_is_told_with_the_next_step(tmp_path):
    (tmp_path / "text.tar.gz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    pack(tmp_path / "empty", tmp_path / "empty.tar.gz")
    (tmp_path / "damaged" / "1").mkdir(parents=True)
    (tmp_path / "damaged" / "1" / "saved_model.pb").write_bytes(b"no model")
    reasons = {
        "nothing.tar.gz": r"There is no .*nothing\.tar\.gz\. Name a \.tar\.gz archive",
        "text.tar.gz": r"text\.tar\.gz: The archive is no readable tar\.gz file.* pack it: tar -czf",
        "empty.tar.gz": r"The archive is empty\. Write the SavedModel to FOLDER/1",
        "empty": r"holds no model: .* Write the SavedModel to FOLDER/1",
        "damaged": r"Failed to load model .*Export the model again",
    }
    for name, reason in reasons.items():
        with pytest.raises(ModelError, match=reason):
            capacities.measure(tmp_path / name, Settings())
