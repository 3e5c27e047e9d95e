import os

import numpy as np
import pytest

WEIGHTS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([-1, 7], np.int8),
    "text": np.array([[b"cat", b"\xff\0"]], dtype=object),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 4), np.float16),
}
SIGNATURES = {"s": ("k1", ["a", "text", "scalar"]), "t": ("k2", ["b", "a", "empty"])}


@pytest.fixture(scope="module")
def prepared_weights():
    from local_sagemaker.engines import prepared_weights

    return prepared_weights


@pytest.fixture
def path(prepared_weights, tmp_path):
    path = prepared_weights.path_of(tmp_path / "1")
    prepared_weights.prepare(path, "digest", SIGNATURES, read=WEIGHTS.__getitem__)
    return path


def test_what_was_prepared_is_mapped_as_it_was_aligned_and_read_only(prepared_weights, path):
    prepared = prepared_weights.open_prepared(path, "digest")
    assert prepared.size == 24 + 2 + 8
    for name, (key, weights) in SIGNATURES.items():
        assert prepared.signatures[name][0] == key
        for expected, found in zip((WEIGHTS[weight] for weight in weights), prepared.signatures[name][1], strict=True):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(found, expected)
            if found.dtype != object and found.size:
                assert found.ctypes.data % 64 == 0
                assert not found.flags.writeable


def test_a_weight_of_two_signatures_is_kept_once(prepared_weights, path):
    prepared = prepared_weights.open_prepared(path, "digest")
    assert np.shares_memory(prepared.signatures["s"][1][0], prepared.signatures["t"][1][1])


def test_every_weight_is_read_once_and_nothing_else_is_left_in_the_folder(prepared_weights, path):
    read = []
    prepared_weights.prepare(path, "d", SIGNATURES, read=lambda name: read.append(name) or WEIGHTS[name])
    assert sorted(read) == sorted(WEIGHTS)
    assert [item.name for item in path.parent.iterdir()] == ["1.weights"]


def test_a_failure_leaves_nothing_in_the_folder(prepared_weights, tmp_path):
    with pytest.raises(KeyError):
        prepared_weights.prepare(tmp_path / "1.weights", "d", {"s": ("k", ["missing"])}, read=WEIGHTS.__getitem__)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_model_is_refused(prepared_weights, path):
    with pytest.raises(prepared_weights.PreparationError, match="another model"):
        prepared_weights.open_prepared(path, "another digest")


def test_every_damaged_byte_and_every_cut_is_noticed(prepared_weights, path):
    whole = path.read_bytes()
    for index in range(0, len(whole), 7):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        with pytest.raises(prepared_weights.PreparationError):
            prepared_weights.open_prepared(path, "digest")
        path.write_bytes(whole[:index])
        with pytest.raises(prepared_weights.PreparationError):
            prepared_weights.open_prepared(path, "digest")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"offset":64', b'"offset":-4'),
        (b'"offset":64', b'"offset":64000000'),
        (b'"offset":64', b'"offset":65'),
        (b'"shape":[2,3]', b'"shape":[2,-3]'),
        (b'"shape":[2,3]', b'"shape":[9000000000000000000,9]'),
        (b'"shape":[2,3]', b'"shape":[2,3000000]'),
        (b'"shape":[2,3]', b'"shape":"x"'),
        (b'"dtype":"float32"', b'"dtype":"object"'),
        (b'["k1",[0', b'["k1",[99'),
        (b'"form":', b'"from":'),
    ],
)
def test_a_table_that_lies_is_refused_although_its_checksum_is_right(prepared_weights, path, old, new):
    import zlib

    end = prepared_weights._END
    whole = path.read_bytes()
    size, _, magic = end.unpack(whole[-end.size :])
    start = len(whole) - end.size - size
    table = whole[start : -end.size]
    assert old in table
    data = whole[:start] + table.replace(old, new, 1)
    path.write_bytes(data + end.pack(len(data) - start, zlib.crc32(data), magic))
    with pytest.raises(prepared_weights.PreparationError):
        prepared_weights.open_prepared(path, "digest")


def test_what_is_no_file_is_not_opened(prepared_weights, path, tmp_path):
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises((OSError, prepared_weights.PreparationError)):
            prepared_weights.open_prepared(tmp_path / name, "digest")


def test_a_weight_of_a_type_that_cannot_be_mapped_is_refused(prepared_weights, tmp_path):
    import ml_dtypes

    with pytest.raises(prepared_weights.PreparationError, match="float8"):
        value = np.zeros(2, ml_dtypes.float8_e5m2)
        prepared_weights.prepare(tmp_path / "1.weights", "d", {"s": ("k", ["a"])}, read=lambda _: value)
