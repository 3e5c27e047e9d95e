import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from local_sagemaker.records import HomeVersionError, Records, now


@pytest.fixture
def records(tmp_path):
    records = Records(tmp_path / "state.sqlite")
    yield records
    records.close()


def test_a_document_comes_back_as_it_was_put(records):
    document = {"Name": "ç", "Times": [now()], "Nested": {"Created": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)}}
    records.put("model", "m", document)
    assert records.get("model", "m") == document


def test_kinds_do_not_share_names(records):
    records.put("model", "x", {"a": 1})
    assert records.get("endpoint", "x") is None


def test_putting_again_replaces(records):
    records.put("model", "m", {"a": 1})
    records.put("model", "m", {"b": 2})
    assert records.get("model", "m") == {"b": 2}


def test_updating_changes_only_what_is_named(records):
    records.put("model", "m", {"a": 1, "b": 1})
    assert records.update("model", "m", b=2) == {"a": 1, "b": 2}
    assert records.get("model", "m") == {"a": 1, "b": 2}


def test_updating_what_is_gone_creates_nothing(records):
    assert records.update("model", "m", a=1) is None
    assert records.get("model", "m") is None


def test_deleting_tells_whether_there_was_something(records):
    records.put("model", "m", {})
    assert records.delete("model", "m")
    assert not records.delete("model", "m")


def test_all_of_a_kind_by_name(records):
    for name in ("b", "a", "c"):
        records.put("model", name, {"n": name})
    records.put("endpoint", "d", {})
    assert list(records.all("model")) == [(name, {"n": name}) for name in "abc"]


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


def test_what_was_put_survives_a_kill(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from local_sagemaker.records import Records\n"
        "Records(Path(sys.argv[1])).put('model', 'm', {'a': 1})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "state.sqlite"
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert Records(path).get("model", "m") == {"a": 1}


def test_a_database_of_another_version_names_the_ways_out(tmp_path):
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(HomeVersionError, match=r"schema version 99.*name another home folder, or reset this one"):
        Records(path)


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
