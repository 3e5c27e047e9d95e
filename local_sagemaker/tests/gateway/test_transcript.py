import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from clients import running

from local_sagemaker.gateway import transcript
from local_sagemaker.gateway.transcript import Transcript

SIGNING_NAMES = {"cloudwatch": "monitoring", "sagemaker-runtime": "sagemaker"}
ROLE = "arn:aws:iam::123456789012:role/Me"
# Requests of each protocol, with what makes them hard to read: paths, queries, headers, forms, XML, times, blobs.
CALLS = [
    ("s3", "ListBuckets", {}),
    ("s3", "HeadBucket", {"Bucket": "things"}),
    ("s3", "ListObjectsV2", {"Bucket": "things", "Prefix": "a/b c/", "EncodingType": "url"}),
    ("s3", "ListMultipartUploads", {"Bucket": "things", "Prefix": "a/"}),
    ("s3", "HeadObject", {"Bucket": "things", "Key": "a/ü%20b"}),
    ("s3", "CopyObject", {"Bucket": "things", "Key": "a/b", "CopySource": "others/c/d"}),
    ("s3", "DeleteObjects", {"Bucket": "things", "Delete": {"Objects": [{"Key": "a/b"}, {"Key": "c"}]}}),
    ("s3", "AbortMultipartUpload", {"Bucket": "things", "Key": "a", "UploadId": "id"}),
    ("sagemaker", "ListModels", {"MaxResults": 10}),
    ("sagemaker", "AddTags", {"ResourceArn": ROLE, "Tags": [{"Key": "k", "Value": "v"}]}),
    ("iam", "SimulatePrincipalPolicy", {"PolicySourceArn": ROLE, "ActionNames": ["s3:GetObject", "s3:PutObject"]}),
    ("sts", "GetCallerIdentity", {}),
    ("logs", "GetLogEvents", {"logGroupName": "g", "logStreamName": "s", "startFromHead": True, "limit": 3}),
    ("cloudwatch", "DeleteAlarms", {"AlarmNames": ["a", "b"]}),
    ("application-autoscaling", "DescribeScalableTargets", {"ServiceNamespace": "sagemaker", "ResourceIds": ["e/f"]}),
]  # fmt: skip


def sent(service, operation, parameters):
    """Return the request that boto3 would send, and send nothing."""
    requests = []
    client = boto3.client(
        service,
        region_name="us-east-1",
        aws_access_key_id="LOCAL",
        aws_secret_access_key="very-secret",
        endpoint_url="http://127.0.0.1:9",
        config=Config(request_checksum_calculation="when_required"),
    )

    def keep(request, **_):
        requests.append(request)
        return AWSResponse(request.url, 503, {}, SimpleNamespace(stream=lambda: iter([b""])))

    client.meta.events.register("before-send", keep)
    with pytest.raises(client.exceptions.ClientError):
        client._make_api_call(operation, dict(parameters))
    request = requests[0]
    url = urlsplit(request.url)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    body = body if isinstance(body, bytes) else body.read()
    return SimpleNamespace(method=request.method, path=url.path, query=url.query, headers=headers, body=body)


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def record(path, calls):
    book = Transcript(path)
    for service, operation, parameters in calls:
        request = sent(service, operation, parameters)
        book.add(request, SIGNING_NAMES.get(service, service), region="us-east-1")
    return transcript.read(path)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: "-".join(call[:2]))
def test_a_request_is_understood_as_it_was_meant(call, tmp_path):
    service, operation, parameters = call
    [entry] = record(tmp_path / "requests.jsonl", [call])
    assert (entry.service, entry.operation) == (service, operation)
    meant = dict(parameters)
    kept = {name: value for name, value in entry.parameters.items() if name in meant}
    assert kept == meant | ({"UploadId": "(left out)"} if "UploadId" in meant else {})
    assert set(entry.parameters) - set(meant) <= {"ChecksumAlgorithm"}


def test_bodies_and_secrets_are_left_out(tmp_path):
    path = tmp_path / "requests.jsonl"
    entries = record(
        path,
        [
            ("s3", "PutObject", {"Bucket": "things", "Key": "a/b", "Body": b"my-picture"}),
            ("sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "e", "TargetModel": "m", "Body": b"my-picture"}),
            ("iam", "CreateLoginProfile", {"UserName": "me", "Password": "my-password"}),
        ],
    )
    assert {entry.operation for entry in entries} == {"PutObject", "InvokeEndpoint", "CreateLoginProfile"}
    for entry in entries:
        assert "(left out)" in entry.parameters.values()
    text = path.read_text()
    for secret in ("my-picture", "my-password", "very-secret", "Signature", "Credential"):
        assert secret not in text
    assert path.stat().st_mode & 0o077 == 0


def test_what_differs_from_run_to_run_is_made_equal(tmp_path):
    def run(number):
        job = f"cifar-2026112601090{number}"
        return record(
            tmp_path / f"{number}.jsonl",
            [
                ("sagemaker", "DescribeTrainingJob", {"TrainingJobName": job}),
                ("s3", "PutObject", {"Bucket": "things", "Key": f"jobs/{job}/source.tar.gz", "Body": b"x" * number}),
                ("logs", "GetLogEvents", {"logGroupName": "g", "logStreamName": job, "nextToken": f"f/{number}"}),
            ],
        )

    assert run(1) == run(2)


def test_equal_requests_are_recorded_once_and_those_of_one_form_are_one_entry(tmp_path):
    names = ["a", "b", "a"]
    calls = [("sagemaker", "DeleteModel", {"ModelName": name}) for name in names]
    [entry] = record(tmp_path / "requests.jsonl", calls)
    assert len((tmp_path / "requests.jsonl").read_text().splitlines()) == 2
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model/"
    assert entry.needs == {("sagemaker:DeleteModel", f"{arn}a"), ("sagemaker:DeleteModel", f"{arn}b")}
    assert entry.form == ("sagemaker", "DeleteModel", ("ModelName",))


def test_a_kept_transcript_is_read_as_it_was_written(tmp_path):
    entries = record(tmp_path / "requests.jsonl", CALLS)
    transcript.write(entries, tmp_path / "kept.jsonl")
    assert transcript.read(tmp_path / "kept.jsonl") == entries
    assert len(entries) == len(CALLS)


def test_a_request_that_is_none_of_the_service_is_passed_over(tmp_path, caplog):
    request = SimpleNamespace(
        method="POST", path="/", query="", body=b"{}", headers={"x-amz-target": "SageMaker.Nothing"}
    )
    Transcript(tmp_path / "requests.jsonl").add(request, "sagemaker", region="us-east-1")
    assert transcript.read(tmp_path / "requests.jsonl") == []
    assert "Not in the transcript" in caplog.text


def test_the_server_records_what_it_answers(tmp_path):
    with running(tmp_path / "home", TRANSCRIPT=tmp_path / "requests.jsonl") as service:
        service.sagemaker.list_endpoints(NameContains="vision")
    [line] = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "service": "sagemaker",
        "operation": "ListEndpoints",
        "parameters": {"NameContains": "vision"},
        "needs": [["sagemaker:ListEndpoints", "*"]],
    }
