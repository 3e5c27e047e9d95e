"""Logs and other services of moto: what a start has to do does not grow with what has been."""

import time

import pytest
from clients import Service, kill

from local_sagemaker import daemon
from local_sagemaker.records import Records

HOUR = 3600 * 1000
POLICY = """{"Version": "2012-10-17", "Statement":
    [{"Sid": "Number%d", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A function that starts a server with small limits, after ending the one before."""
    monkeypatch.setenv("LOCAL_SAGEMAKER_MAX_JOURNAL_REQUESTS", "20")
    services = []

    def start(**limits) -> Service:
        if services:
            kill(services[-1].status)
        for name, value in limits.items():
            monkeypatch.setenv(f"LOCAL_SAGEMAKER_{name}", str(value))
        services.append(Service(daemon.start(tmp_path / "home")))
        return services[-1]

    yield start
    daemon.stop(tmp_path / "home")


def put(service, *messages, at=None):
    moment = at or int(time.time() * 1000)
    for start in range(0, len(messages), 5000):
        events = [{"timestamp": moment, "message": message} for message in messages[start : start + 5000]]
        service.logs.put_log_events(logGroupName="own", logStreamName="s", logEvents=events)


def pages(service, **options):
    """The messages of each page, from the first to the last."""
    found, token = [], None
    while True:
        named = {"logGroupName": "own", "logStreamName": "s"} | ({"nextToken": token} if token else {})
        answer = service.logs.get_log_events(**named, **options)
        if not answer["events"]:
            return found
        found.append([event["message"] for event in answer["events"]])
        token = answer["nextForwardToken"]


@pytest.mark.slow
def test_lines_are_read_in_pages_and_those_beyond_the_limits_go(started):
    service = started()
    service.logs.create_log_group(logGroupName="own")
    service.logs.create_log_stream(logGroupName="own", logStreamName="s")
    put(service, "old", at=int(time.time() * 1000) - 2 * HOUR)
    put(service, *"abcde")
    assert pages(service, startFromHead=True, limit=2) == [["old", "a"], ["b", "c"], ["d", "e"]]
    last = service.logs.get_log_events(logGroupName="own", logStreamName="s", limit=2)
    assert [event["message"] for event in last["events"]] == ["d", "e"]
    back = service.logs.get_log_events(
        logGroupName="own", logStreamName="s", limit=2, nextToken=last["nextBackwardToken"]
    )
    assert [event["message"] for event in back["events"]] == ["b", "c"]
    found = service.logs.filter_log_events(logGroupName="own", filterPattern="old")["events"]
    assert [event["message"] for event in found] == ["old"]
    [stream] = service.logs.describe_log_streams(logGroupName="own")["logStreams"]
    assert stream["lastEventTimestamp"] - stream["firstEventTimestamp"] >= 2 * HOUR

    service = started(LOG_MAX_SECONDS=3600)
    assert pages(service, startFromHead=True) == [list("abcde")]
    service = started(MAX_LOG_BYTES=400_000)
    put(service, *(f"{number:04} " + "x" * 200 for number in range(4000)))
    [*_, newest] = pages(service, startFromHead=True)
    assert newest[-1].startswith("3999 ")
    first = pages(service, startFromHead=True, limit=1000)[0][0]
    assert first[:4].isdecimal() and first > "2000"
    assert (service.status.home / "logs.sqlite").stat().st_size < 1_500_000


@pytest.mark.slow
def test_after_many_requests_a_start_answers_few_again_and_all_that_they_did_is_there(started):
    service = started()
    iam = service.client("iam")
    iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
    for number in range(70):
        iam.put_role_policy(RoleName="mine", PolicyName="p", PolicyDocument=POLICY % number)
        service.cloudwatch.put_metric_data(Namespace="Own", MetricData=[{"MetricName": "m", "Value": 1.0}])
    role = iam.get_role(RoleName="mine")["Role"]
    service = started()
    records = Records(service.status.home / "state.sqlite")
    assert len(list(records.all("request"))) < 20
    records.close()
    iam = service.client("iam")
    assert iam.get_role(RoleName="mine")["Role"] == role
    assert iam.get_role_policy(RoleName="mine", PolicyName="p")["PolicyDocument"]["Statement"][0]["Sid"] == "Number69"
    assert service.statistics("Own", "m", {}) == (70, 70.0)


@pytest.mark.slow
def test_a_state_that_moto_cannot_read_is_named_with_the_way_out(started, tmp_path):
    service = started()
    kill(service.status)
    (tmp_path / "home" / "services.pickle").write_bytes(b"of another version")
    with pytest.raises(daemon.DaemonError, match=r"cannot be read by this version of moto .*reset this one"):
        daemon.start(tmp_path / "home")
    (tmp_path / "home" / "services.pickle").unlink()
