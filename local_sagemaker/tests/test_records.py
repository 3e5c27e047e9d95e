import threading
from datetime import UTC, datetime

import pytest

from local_sagemaker.records import Records, now


@pytest.fixture
def records(tmp_path):
    records = Records(tmp_path / "state.sqlite")
    yield records
    records.close()


def test_a_document_comes_back_as_it_was_put(records):
    document = {"Name": "ç", "Times": [now()], "Nested": {"Created": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)}}
    records.put("model", "m", document)
    assert records.get("model", "m") == document


def test_updating_changes_only_what_is_named(records):
    records.put("model", "m", {"a": 1, "b": 1})
    assert records.update("model", "m", b=2) == {"a": 1, "b": 2}
    assert records.get("model", "m") == {"a": 1, "b": 2}


def test_a_value_that_json_lacks_is_refused_by_its_type(records):
    with pytest.raises(TypeError, match="cannot hold a bytes"):
        records.put("model", "m", {"a": b""})


def test_threads_do_not_lose_each_others_updates(records):
    records.put("model", "m", {})
    threads = [
        threading.Thread(target=lambda n=n: [records.update("model", "m", **{f"{n}-{i}": i}) for i in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(records.get("model", "m")) == 80


def test_times_are_in_utc_and_to_the_millisecond():
    assert now().tzinfo is UTC
    assert now().microsecond % 1000 == 0


def test_an_update_can_ask_for_what_is_there(records):
    records.put("job", "a", {"status": "Completed", "count": 1})
    assert records.update("job", "a", when={"status": "InProgress"}, status="Stopping") is None
    assert records.get("job", "a") == {"status": "Completed", "count": 1}
    assert records.update("job", "a", when={"status": "Completed"}, count=2) == {"status": "Completed", "count": 2}


def test_names_are_found_by_their_beginning(records):
    for name in ("a/1", "a/2", "a", "ab/1", "a/%", "b/1", "a/\U0010fffe"):
        records.put("object", name, {})
    assert [name for name, _ in records.all("object", prefix="a/")] == ["a/%", "a/1", "a/2", "a/\U0010fffe"]
