import asyncio
import contextlib
import gzip
import os
from dataclasses import replace
from pathlib import Path

import pytest
from clients import packed

from local_sagemaker.errors import ContainerError, ContainerLostError, ServiceError
from local_sagemaker.hosting.model_cache import ModelCache
from local_sagemaker.hosting.model_states import ModelSource
from local_sagemaker.services.objects import StoredObject
from local_sagemaker.settings import Settings

pytestmark = pytest.mark.timeout(60)

KILOBYTE = 1000


class Bucket:
    """Archives by key, in the place of S3."""

    def __init__(self, folder):
        self.folder = folder
        self.stored = {}

    def put(self, key, size, *, state=None, content=None):
        path = self.folder / f"{key}-{len(list(self.folder.iterdir()))}"
        path.write_bytes(packed({"1/weights": bytes(size)}) if content is None else content)
        self.stored[key] = StoredObject(key, path, path.stat().st_size, etag=state or path.name)

    def get(self, bucket, key):
        return self.stored.get(key)


class Container:
    """The calls of the contract, with memory for so many bytes; a load waits until its gate is open."""

    def __init__(self, memory=1_000_000):
        self.memory = memory
        self.loaded = {}
        self.calls = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = set()
        self.most_at_once = self.loading = 0
        self.dead = self.prepares = False

    async def call(self, method, path, json=None):
        if self.dead:
            raise ContainerLostError("i-1")
        name = json["model_name"] if json else path.rpartition("/")[2]
        self.calls.append((method, name))
        if method == "DELETE":
            self.loaded.pop(name, None)
            return 200, ""
        weights = Path(json["url"]) / "1.weights"
        size = sum(file.stat().st_size for file in Path(json["url"]).rglob("*") if file.is_file() and file != weights)
        if sum(self.loaded.values()) + size > self.memory:
            return 507, "Memory exhausted"
        if name in self.broken:
            return 500, "broken"
        self.loading += 1
        self.most_at_once = max(self.most_at_once, self.loading)
        await self.gate.wait()
        self.loading -= 1
        self.loaded[name] = size
        if self.prepares:
            weights.write_bytes(bytes(size))
        return 200, ""

    def loads_of(self, source):
        return self.calls.count(("POST", source.model_name))


class Recorder:
    """The metrics, by name."""

    def __init__(self):
        self.values = {}

    def record(self, name, value, **_):
        self.values.setdefault(name, []).append(value)

    record_seconds = record

    def count(self, name):
        return len(self.values.get(name, []))


class Fixture:
    def __init__(self, folder, **limits):
        settings = Settings(home=folder)
        self.settings = replace(settings, **({"instance_memory_bytes": 1_000_000} | limits))
        (folder / "s3").mkdir()
        self.bucket = Bucket(folder / "s3")
        self.metrics = Recorder()
        self.disk = folder / "disk"
        self.start()

    def start(self, *, keep_models=True, **limits):
        """Start with nothing but the disk, as after a restart of the server."""
        self.cache = ModelCache(
            "i-1",
            self.disk,
            settings=replace(self.settings, **limits),
            objects=self.bucket,
            variant_metrics=self.metrics,
            keep_models=keep_models,
        )
        self.cache.container = self.container = Container(self.settings.instance_memory_bytes)

    def add(self, name, size=KILOBYTE, **options):
        self.bucket.put(name, size, **options)
        return ModelSource("bucket", name, name)

    async def use(self, source):
        async with self.cache.use(source) as container:
            assert source.model_name in container.loaded

    def disk_bytes(self):
        total = 0
        for folder, _, names in os.walk(self.disk):  # which bears that files go meanwhile
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += Path(folder, name).stat().st_size
        return total


def scenario(**limits):
    """Let a test have an instance with these limits."""
    return pytest.mark.parametrize("instance", [limits], indirect=True)


@pytest.fixture
def instance(tmp_path, request):
    return Fixture(tmp_path, **request.param)


@scenario(instance_memory_bytes=2 * KILOBYTE)
async def test_a_full_memory_unloads_the_least_recently_used_model_and_keeps_its_files(instance):
    first, second, third = (instance.add(name) for name in "abc")
    for source in (first, second, first, third):
        await instance.use(source)
    assert set(instance.container.loaded) == {first.model_name, third.model_name}
    await instance.use(second)  # its files are still there
    assert instance.metrics.count("ModelDownloadingTime") == 3
    assert instance.metrics.count("ModelLoadingTime") == 4
    assert instance.metrics.count("ModelUnloadingTime") == 2


@scenario(instance_disk_bytes=80 * KILOBYTE)
async def test_a_full_disk_deletes_the_files_of_the_least_recently_used_model_before_it_writes(instance):
    limit = instance.settings.instance_disk_bytes
    sources = [instance.add(name, 20 * KILOBYTE) for name in "abcd"]
    for source in sources:
        await instance.use(source)
        assert instance.disk_bytes() <= limit
    assert not instance.cache.holds(sources[0])
    await instance.use(sources[0])
    assert instance.metrics.count("ModelDownloadingTime") == 5


@scenario(instance_memory_bytes=KILOBYTE)
async def test_a_model_that_answers_a_call_is_not_evicted(instance):
    first, second = instance.add("a"), instance.add("b")
    async with instance.cache.use(first):
        waiting = asyncio.create_task(instance.use(second))
        while not any(call == ("POST", second.model_name) for call in instance.container.calls):
            await asyncio.sleep(0)
        assert set(instance.container.loaded) == {first.model_name}
    await waiting
    assert set(instance.container.loaded) == {second.model_name}


@scenario()
async def test_first_calls_that_come_together_load_once(instance):
    source = instance.add("a")
    await asyncio.gather(*(instance.use(source) for _ in range(20)))
    assert instance.container.loads_of(source) == 1
    assert instance.metrics.values["ModelCacheHit"] == [0.0] * 20


@scenario(cold_start_seconds=0.2)
async def test_a_slow_cold_start_is_not_ready_and_goes_on_loading(instance):
    source = instance.add("a")
    instance.container.gate.clear()
    for _ in range(2):
        with pytest.raises(ServiceError) as failure:
            await instance.use(source)
        assert (failure.value.code, failure.value.status) == ("ModelNotReadyException", 429)
    instance.container.gate.set()
    while source.model_name not in instance.container.loaded:
        await asyncio.sleep(0)
    await instance.use(source)
    assert instance.container.loads_of(source) == 1


@scenario(model_load_seconds=0.2)
async def test_a_load_that_never_ends_is_given_up(instance):
    source = instance.add("a")
    instance.container.gate.clear()
    with pytest.raises(ContainerError, match="not loaded in time"):
        await instance.use(source)
    instance.container.gate.set()
    await instance.use(source)


@scenario(max_concurrent_loads=2)
async def test_so_many_models_load_at_once_and_the_others_wait_their_turn(instance):
    sources = [instance.add(str(number)) for number in range(6)]
    instance.container.gate.clear()
    uses = [asyncio.create_task(instance.use(source)) for source in sources]
    while instance.container.loading < 2:
        await asyncio.sleep(0)
    instance.container.gate.set()
    await asyncio.gather(*uses)
    assert instance.container.most_at_once == 2


@scenario(max_concurrent_loads=1, max_queued_loads=1)
async def test_too_many_waiting_loads_are_refused_with_an_error_that_clients_retry(instance):
    sources = [instance.add(str(number)) for number in range(3)]
    instance.container.gate.clear()
    first = asyncio.create_task(instance.use(sources[0]))
    while not instance.container.loading:
        await asyncio.sleep(0)
    second = asyncio.create_task(instance.use(sources[1]))
    await asyncio.sleep(0)
    with pytest.raises(ServiceError, match="Too many models wait") as failure:
        await instance.use(sources[2])
    assert (failure.value.code, failure.value.status) == ("ServiceUnavailable", 503)
    instance.container.gate.set()
    await asyncio.gather(first, second)
    await instance.use(sources[2])


@scenario(instance_memory_bytes=KILOBYTE)
async def test_a_model_that_keeps_failing_does_not_keep_unloading_the_others(instance):
    good, bad = instance.add("good"), instance.add("bad")
    instance.container.broken.add(bad.model_name)
    await instance.use(good)
    for _ in range(5):
        with pytest.raises(ContainerError):
            await instance.use(bad)
        await instance.use(good)
    assert instance.container.loads_of(good) == 2  # once more after the first failure


@scenario(instance_memory_bytes=2 * KILOBYTE)
async def test_a_model_larger_than_the_memory_unloads_nothing(instance):
    good, large = instance.add("good"), instance.add("large", 3 * KILOBYTE)
    await instance.use(good)
    for _ in range(2):
        with pytest.raises(ContainerError, match="507"):
            await instance.use(large)
    assert set(instance.container.loaded) == {good.model_name}


@pytest.mark.parametrize("lie", [False, True], ids=["honest", "lying about its size"])
@scenario(instance_disk_bytes=50 * KILOBYTE)
async def test_an_archive_larger_than_the_disk_deletes_nothing(instance, lie):
    good = instance.add("good")
    content = packed({"1/weights": bytes(200 * KILOBYTE)})
    large = instance.add("large", content=content[:-4] + b"\x10\0\0\0" if lie else content)
    await instance.use(good)
    for _ in range(2):
        with pytest.raises(ServiceError, match="Failed to extract"):
            await instance.use(large)
    await instance.use(good)
    assert instance.metrics.count("ModelDownloadingTime") == 1
    assert instance.disk_bytes() == KILOBYTE


@scenario(instance_disk_bytes=75 * KILOBYTE)
async def test_an_archive_of_several_gzip_members_is_measured_first(instance):
    tar = gzip.decompress(packed({"1/weights": bytes(60 * KILOBYTE)}))
    await instance.use(instance.add("good", 20 * KILOBYTE))
    parts = gzip.compress(tar[:5000]) + gzip.compress(tar[5000:-100]) + gzip.compress(tar[-100:])
    await instance.use(instance.add("parts", content=parts))  # its last member states 100 bytes
    assert instance.disk_bytes() <= instance.settings.instance_disk_bytes


@scenario()
async def test_a_bad_archive_is_tried_again_only_when_it_is_replaced(instance):
    source = instance.add("a", content=b"no archive", state="one")
    for _ in range(2):
        with pytest.raises(ServiceError, match="Failed to extract"):
            await instance.use(source)
    instance.add("a", state="two")
    await instance.use(source)


@scenario()
async def test_an_object_that_vanishes_while_it_is_read_is_not_there(instance):
    source = instance.add("a")
    instance.bucket.stored["a"].path.unlink()
    with pytest.raises(ServiceError, match="Failed to download model data"):
        await instance.use(source)
    instance.add("a")
    await instance.use(source)


@scenario(instance_disk_bytes=40 * KILOBYTE)
async def test_a_loaded_model_is_served_after_its_object_is_deleted_until_its_files_go(instance):
    first, second = instance.add("a", 20 * KILOBYTE), instance.add("b", 20 * KILOBYTE)
    await instance.use(first)
    del instance.bucket.stored["a"]
    await instance.use(first)
    await instance.use(second)
    with pytest.raises(ServiceError, match="Failed to download model data"):
        await instance.use(first)


@scenario()
async def test_a_new_container_has_nothing_loaded_but_the_files_are_there(instance):
    source = instance.add("a")
    await instance.use(source)
    instance.container.dead = True
    instance.cache.container = instance.container = Container()
    assert instance.cache.loaded_count == 0
    await instance.use(source)
    assert instance.metrics.count("ModelDownloadingTime") == 1
    assert instance.metrics.count("ModelLoadingTime") == 2


@scenario()
async def test_a_container_that_dies_while_it_loads_gives_an_error_that_clients_retry(instance):
    source = instance.add("a")
    instance.container.dead = True
    with pytest.raises(ServiceError) as failure:
        await instance.use(source)
    assert failure.value.status == 503


@scenario()
async def test_models_without_files_are_forgotten(instance):
    for number in range(5):
        with pytest.raises(ServiceError):
            await instance.use(ModelSource("bucket", f"none-{number}", f"none-{number}"))
    assert not instance.cache._models


@scenario(instance_memory_bytes=30 * KILOBYTE, instance_disk_bytes=70 * KILOBYTE, max_concurrent_loads=2)
async def test_more_work_than_fits_never_exceeds_a_limit(instance):
    sources = [instance.add(str(number), 10 * KILOBYTE) for number in range(12)]

    async def client(seed):
        for step in range(30):
            await instance.use(sources[(seed * 7 + step * 5) % 12])
            assert instance.disk_bytes() <= instance.settings.instance_disk_bytes
            assert sum(instance.container.loaded.values()) <= instance.settings.instance_memory_bytes

    await asyncio.gather(*(client(seed) for seed in range(8)))


@scenario(instance_disk_bytes=110 * KILOBYTE)
async def test_prepared_weights_count_on_the_disk(instance):
    instance.container.prepares = True
    sources = [instance.add(name, 20 * KILOBYTE) for name in "abcd"]
    for source in sources:
        await instance.use(source)
        assert instance.disk_bytes() <= instance.settings.instance_disk_bytes
        assert instance.cache.disk_percent == 100 * instance.disk_bytes() / instance.settings.instance_disk_bytes
    assert instance.metrics.count("ModelDownloadingTime") == 4
    assert instance.cache.memory_percent == 100 * instance.cache.loaded_count * 20 * KILOBYTE / 1_000_000


@scenario(instance_disk_bytes=130 * KILOBYTE)
async def test_room_for_prepared_weights_that_are_not_needed_is_given_back(instance):
    for name in "abcd":
        await instance.use(instance.add(name, 20 * KILOBYTE))
    assert instance.cache.loaded_count == 4
    assert instance.disk_bytes() == 80 * KILOBYTE


@scenario()
async def test_what_was_loaded_is_on_the_disk_after_a_restart(instance):
    first, second = instance.add("a"), instance.add("b", 2 * KILOBYTE)
    for source in (second, first):
        await instance.use(source)
    await instance.cache.close()
    instance.start()
    await instance.cache.restore()
    assert (instance.cache.loaded_count, instance.cache.holds(first)) == (0, False)
    assert instance.cache.disk_percent == 100 * 3 * KILOBYTE / instance.settings.instance_disk_bytes
    for source in (first, second):
        await instance.use(source)
    assert instance.metrics.count("ModelDownloadingTime") == 2
    assert instance.metrics.count("ModelLoadingTime") == 4


@scenario()
async def test_an_archive_replaced_between_two_servers_is_downloaded(instance):
    source = instance.add("a")
    await instance.use(source)
    await instance.cache.close()
    instance.add("a", 2 * KILOBYTE)
    instance.start()
    await instance.cache.restore()
    assert instance.disk_bytes() == 0
    await instance.use(source)
    assert instance.metrics.count("ModelDownloadingTime") == 2
    assert instance.disk_bytes() == 2 * KILOBYTE


@scenario()
async def test_a_model_that_could_not_be_loaded_is_not_on_the_disk_after_a_restart(instance):
    source = instance.add("a")
    instance.container.broken.add(source.model_name)
    with pytest.raises(ContainerError):
        await instance.use(source)
    assert instance.disk_bytes() == KILOBYTE
    await instance.cache.close()
    instance.start()
    await instance.cache.restore()
    assert instance.disk_bytes() == 0


@pytest.mark.parametrize(
    ("change", "left"), [({"instance_disk_bytes": 5 * KILOBYTE}, 4 * KILOBYTE), ({"keep_models": False}, 0)]
)
@scenario()
async def test_a_server_with_less_room_keeps_less(instance, change, left):
    for name in "abcd":
        await instance.use(instance.add(name, 2 * KILOBYTE))
    await instance.cache.close()
    instance.start(**change)
    await instance.cache.restore()
    assert instance.disk_bytes() == left


@scenario(instance_memory_bytes=3 * KILOBYTE)
async def test_counts_follow_loads_unloads_and_a_new_container(instance):
    sources = [instance.add(str(number)) for number in range(6)]
    for source in sources:
        await instance.use(source)
        assert instance.cache.loaded_count == len(instance.container.loaded) <= 3
    assert set(instance.container.loaded) == {source.model_name for source in sources[3:]}
    await instance.use(sources[3])
    await instance.use(sources[0])  # unloads 4, which is now the least recently used one
    assert set(instance.container.loaded) == {sources[index].model_name for index in (0, 3, 5)}
    assert instance.cache.memory_percent == 100.0
    instance.cache.container = instance.container = Container()
    assert (instance.cache.loaded_count, instance.cache.memory_percent) == (0, 0.0)
