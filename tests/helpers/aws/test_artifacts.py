"""What is read from the archives of a job, and what is refused."""

import io
import json
import tarfile

import numpy as np
import pytest

from helpers.aws import artifacts
from helpers.aws.artifacts import ArtifactError

PART = {"count": 50, "mistake_count": 2, "accuracy": 0.96}
ARRAYS = {
    "indices": np.array([7, 3]),
    "images": np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3),
    "labels": np.array([0, 1]),
    "predictions": np.array([1, 0]),
    "probabilities": np.array([[0.1, 0.9], [0.8, 0.2]], np.float32),
}


def npz(**changes: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **(ARRAYS | changes))
    return buffer.getvalue()


def pack(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archive(**changes: bytes | None) -> bytes:
    """An archive as a job leaves it, in which some files are others, or None: missing."""
    evaluation = {"validation": PART, "test": PART, "class_names": ["a", "b"]}
    files = {
        "history.json": json.dumps({"epoch": [1]}).encode(),
        "evaluation.json": json.dumps(evaluation).encode(),
        "provenance.json": json.dumps({"seed": 1}).encode(),
        "mistakes/validation.npz": npz(),
        "mistakes/test.npz": npz(),
    }
    files |= {name.replace("__", "/").replace("_dot_", "."): content for name, content in changes.items()}
    return pack({name: content for name, content in files.items() if content is not None})


def test_reports_and_mistakes_are_read():
    left = artifacts.read_output(archive())
    assert (left["history"], left["provenance"]) == ({"epoch": [1]}, {"seed": 1})
    assert left["evaluation"]["test"] == PART
    assert set(left["mistakes"]) == {"validation", "test"}
    mistakes = left["mistakes"]["test"]
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(getattr(mistakes, name), values)
    assert (mistakes.count, mistakes.image_count) == (2, 50)


def test_an_array_of_the_users_own_is_left_alone():
    left = artifacts.read_output(archive(**{"mistakes/test.npz": npz(embedding=np.zeros(3))}))
    np.testing.assert_array_equal(left["mistakes"]["test"].labels, ARRAYS["labels"])


def test_no_mistakes_are_read_as_empty_arrays():
    none = npz(**{name: values[:0] for name, values in ARRAYS.items()})
    mistakes = artifacts.read_output(archive(mistakes__test_dot_npz=none))["mistakes"]["test"]
    assert mistakes.images.shape == (0, 4, 4, 3) and mistakes.probabilities.shape == (0, 2)


@pytest.mark.parametrize("name", ["history_dot_json", "mistakes__validation_dot_npz"])
def test_a_missing_file_is_named(name):
    with pytest.raises(ArtifactError, match=r"lacks (history\.json|mistakes/validation\.npz)\. The scripts"):
        artifacts.read_output(archive(**{name: None}))


@pytest.mark.parametrize("content", [b"", b"not an archive", archive()[:200]])
def test_what_is_no_archive_is_refused(content):
    with pytest.raises(ArtifactError):
        artifacts.read_output(content)


@pytest.mark.parametrize(("content", "message"), [(b"{", "Expecting"), (b"\xff", "decode"), (b"[]", "no JSON object")])
def test_a_report_that_is_no_json_object_is_refused(content, message):
    with pytest.raises(ArtifactError, match=rf"evaluation\.json.*{message}"):
        artifacts.read_output(archive(evaluation_dot_json=content))


def test_an_evaluation_without_the_count_of_mistakes_is_refused():
    with pytest.raises(ArtifactError, match=r"its part of evaluation\.json cannot be read: KeyError\('validation'\)"):
        artifacts.read_output(archive(evaluation_dot_json=b"{}"))


class Harmful:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_an_array_of_objects_is_refused_and_not_executed(tmp_path):
    path = tmp_path / "written"
    harmful = npz(labels=np.array([Harmful(path)], dtype=object))
    with pytest.raises(ArtifactError, match="allow_pickle=False"):
        artifacts.read_output(archive(mistakes__test_dot_npz=harmful))
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"PK not a zip file", npz()[:300]])
def test_damaged_arrays_are_refused(content):
    with pytest.raises(ArtifactError, match=r"mistakes/test\.npz"):
        artifacts.read_output(archive(mistakes__test_dot_npz=content))


def test_arrays_that_would_grow_beyond_the_limit_are_not_unpacked(monkeypatch):
    bomb = npz(images=np.zeros((2, 600, 600, 3), np.uint8))
    monkeypatch.setattr(artifacts, "LARGEST_MISTAKES", 1024 * 1024)
    assert len(bomb) < artifacts.LARGEST_MISTAKES
    with pytest.raises(ArtifactError, match="2 MiB of arrays, where 1 are the limit"):
        artifacts.read_output(archive(mistakes__test_dot_npz=bomb))


def test_a_file_beyond_the_limit_is_not_read(monkeypatch):
    monkeypatch.setattr(artifacts, "LARGEST_JSON", 1024 * 1024)
    with pytest.raises(ArtifactError, match=r"history\.json is no file of at most 1 MiB"):
        artifacts.read_output(archive(history_dot_json=b" " * (1024 * 1024 + 1)))


PROVENANCE = {"data": {"source": "Drawn."}, "weights": {"description": "from scratch"}}


@pytest.mark.parametrize("name", [artifacts.CARD, f"./{artifacts.CARD}"])
def test_the_card_is_read_from_the_archive_as_it_is_packed(name):
    card = {"class_names": ["a"], "image_size": 32, "provenance": PROVENANCE}
    archive = pack({"1/saved_model.pb": b"graph", name: json.dumps(card).encode()})
    assert artifacts.read_card(archive) == card
    assert artifacts.describe(card["provenance"]) == "Drawn. Weights: from scratch"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "cannot be read: Expecting"),
        (b'{"class_names": []}', r"cannot be read: KeyError\('provenance'\)"),
        (b'{"provenance": {"data": []}}', "list indices"),
        (b"[" * 100_000, "cannot be read"),
        (b" " * (artifacts.LARGEST_JSON + 1), "no file of at most 16 MiB"),
    ],
    ids=["no JSON", "no provenance", "another form", "too deep", "too large"],
)
def test_a_card_that_cannot_be_read_is_an_error_that_says_so(content, words):
    with pytest.raises(ArtifactError, match=rf"1/assets.extra/model.json.*{words}"):
        artifacts.read_card(pack({artifacts.CARD: content}))


def test_an_archive_without_a_card_is_an_error_that_says_so():
    with pytest.raises(ArtifactError, match=r"lacks 1/assets\.extra/model\.json"):
        artifacts.read_card(pack({"1/saved_model.pb": b"graph"}))
