import pytest

from helpers import orphaned_resources
from helpers.aws import removal


def test_whatever_is_found_can_be_removed():
    assert set(removal.REMOVE) == set(orphaned_resources.BILLS)


def test_all_uploads_of_a_key_are_aborted_and_those_of_others_go_on(connection):
    client = connection.boto.client("s3")
    keys = [f"{connection.prefix}/uploads/{name}" for name in ("a", "a", "a.b")]
    for key in keys:
        client.create_multipart_upload(Bucket=connection.bucket, Key=key)
    removal.REMOVE["unfinished upload"](connection, f"s3://{connection.bucket}/{keys[0]}")
    found = client.list_multipart_uploads(Bucket=connection.bucket, Prefix=f"{connection.prefix}/uploads/")
    assert [upload["Key"] for upload in found["Uploads"]] == [keys[2]]


@pytest.mark.parametrize(
    ("kind", "states", "expected"),
    [
        ("training job", ["InProgress", "Stopping", "Stopped"], ["stop", "InProgress", "Stopping", "Stopped"]),
        ("endpoint", ["Creating", "InService", None], ["Creating", "InService", "delete", None]),
        ("endpoint", ["Deleting", "Deleting", None], ["Deleting", "Deleting", None]),
    ],
)
def test_what_takes_its_time_is_waited_for(connection, monkeypatch, kind, states, expected):
    """A job until it has written its last objects, an endpoint until it can be deleted and until it is gone."""
    left, calls = list(states), []

    class Client:
        def stop_training_job(self, **_):
            calls.append("stop")

        def delete_endpoint(self, **_):
            calls.append("delete")

        def describe_training_job(self, **_):
            calls.append(left[0])
            return {"TrainingJobStatus": left.pop(0)}

    def find(*_):
        calls.append(left[0])
        return left.pop(0)

    monkeypatch.setattr(removal.endpoint_status, "find", find)
    monkeypatch.setattr(removal.time, "sleep", lambda _: None)
    monkeypatch.setattr(type(connection.boto), "client", lambda *_: Client())
    removal.REMOVE[kind](connection, "left")
    assert calls == expected
