import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from clients import running


def send(service, path="/", *, method="POST", body=b"{}", **headers):
    """Send an unsigned request and return its status and text."""
    address = service.status.environment["AWS_ENDPOINT_URL"] + path
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, data=body, method=method, headers=named)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_an_unsigned_request_is_refused(service, endpoint):
    for path in ("/", "/bucket/key", f"/endpoints/{endpoint}/invocations"):
        status, text = send(service, path)
        assert (status, "MissingAuthenticationToken" in text) == (403, True)


@pytest.mark.parametrize("name", ["sagemaker", "sagemaker-runtime", "s3", "sts", "logs"])
def test_wrong_keys_are_refused(service, name):
    client = service.client(name, secret_key="wrong")
    call = {
        "sagemaker": lambda: client.list_models(),
        "sagemaker-runtime": lambda: client.invoke_endpoint(EndpointName="e", Body=b""),
        "s3": lambda: client.list_buckets(),
        "sts": lambda: client.get_caller_identity(),
        "logs": lambda: client.describe_log_groups(),
    }[name]
    with pytest.raises(ClientError) as failure:
        call()
    assert failure.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_unknown_access_key_is_refused(service):
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        service.client("sagemaker", access_key="UNKNOWN").list_models()


def test_a_client_whose_upload_was_refused_before_its_body_goes_on(service):
    """boto3 waits with a body until it is asked for it, and keeps it if that is an error."""
    bucket, client = service.buckets.create(), service.client("s3")
    unknown = (
        "before-sign.s3.PutObject",
        lambda request, **_: request.headers.add_header("x-amz-checksum-blake3", "x"),
    )
    for body in (b"x" * 5000, b"y"):
        client.meta.events.register(*unknown, unique_id="unknown")
        with pytest.raises(ClientError) as failure:
            client.put_object(Bucket=bucket, Key="refused", Body=body)
        assert failure.value.response["Error"]["Code"] == "NotImplemented"
        client.meta.events.unregister(*unknown, unique_id="unknown")
        client.put_object(Bucket=bucket, Key="taken", Body=body)
        assert client.get_object(Bucket=bucket, Key="taken")["Body"].read() == body


def test_headers_beyond_latin_letters_are_taken_as_they_are_sent(service):
    bucket = service.buckets.create()
    disposition = 'attachment; filename="à ü.txt"'
    service.s3.put_object(Bucket=bucket, Key="k", Body=b"content", ContentDisposition=disposition)
    found = service.s3.head_object(Bucket=bucket, Key="k")["ContentDisposition"]
    assert found.encode("latin-1").decode() == disposition  # boto3 reads what servers send as Latin-1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:1"])
def test_a_request_for_another_host_is_refused(service, host):
    status, text = send(service, Host=host)
    assert status == 403
    assert "Host header names another server" in text


def test_a_presigned_url_works_as_it_is_and_not_for_another_object(service):
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="shared", Body=b"content")
    service.s3.put_object(Bucket=bucket, Key="private", Body=b"secret")
    url = service.client("s3", signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "shared"}, ExpiresIn=60
    )
    parts = urlsplit(url)
    assert send(service, f"{parts.path}?{parts.query}", method="GET", body=None) == (200, "content")
    other = parts.path.replace("shared", "private")
    status, text = send(service, f"{other}?{parts.query}", method="GET", body=None)
    assert status == 403
    assert "secret" not in text


def test_a_presigned_upload_takes_headers_from_its_query_and_no_checksum_of_an_empty_body(service):
    bucket = service.buckets.create()
    query = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-meta-who": "me"}
    address = f"{service.status.environment['AWS_ENDPOINT_URL']}/{bucket}/key"
    request = AWSRequest("PUT", address, params=query)
    keys = service.status.environment
    credentials = Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    S3SigV4QueryAuth(credentials, "s3", keys["AWS_REGION"], expires=60).add_auth(request)
    parts = urlsplit(request.url)
    assert send(service, f"{parts.path}?{parts.query}", method="PUT", body=b"content")[0] == 200
    found = service.s3.get_object(Bucket=bucket, Key="key")
    assert (found["Body"].read(), found["Metadata"]) == (b"content", {"who": "me"})


def test_a_form_upload_is_refused_by_name(service):
    form = service.s3.generate_presigned_post(service.buckets.create(), "key")
    status, text = send(service, urlsplit(form["url"]).path, Content_Type="multipart/form-data; boundary=b")
    assert status == 501
    assert "does not support form uploads" in text


def test_the_execution_role_may_be_assumed_by_sagemaker_and_allows_everything(service):
    iam = service.client("iam")
    role = iam.get_role(RoleName=service.status.role_arn.rpartition("/")[2])["Role"]
    assert role["Arn"] == service.status.role_arn
    assert "sagemaker.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])
    results = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"], ActionNames=["s3:GetObject", "sagemaker:CreateModel"]
    )["EvaluationResults"]
    assert {item["EvalActionName"]: item["EvalDecision"] for item in results} == {
        "s3:GetObject": "allowed",
        "sagemaker:CreateModel": "allowed",
    }


def test_the_caller_is_in_the_stand_ins_account(service):
    assert service.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_the_server_never_imports_tensorflow():
    program = "import sys, local_sagemaker.server, local_sagemaker.daemon; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_the_aws_cli_works(service, endpoint, models_bucket, tmp_path):
    environment = os.environ | service.status.environment | {"AWS_PAGER": "", "AWS_CONFIG_FILE": str(tmp_path / "none")}

    def aws(*arguments):
        command = [sys.executable, "-m", "awscli", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    (tmp_path / "up.txt").write_text("from the command line")
    aws("s3", "cp", str(tmp_path / "up.txt"), f"s3://{models_bucket}/cli/up.txt")
    aws("s3", "cp", f"s3://{models_bucket}/cli/up.txt", str(tmp_path / "down.txt"))
    assert (tmp_path / "down.txt").read_text() == "from the command line"
    names = json.loads(aws("sagemaker", "list-models", "--name-contains", endpoint))["Models"]
    assert endpoint in [item["ModelName"] for item in names]
    (tmp_path / "body.json").write_text('{"instances": [[1, 2]]}')
    command = ["sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint, "--target-model", "linear.tar.gz"]
    body = ["--content-type", "application/json", "--body", f"fileb://{tmp_path}/body.json"]
    aws(*command, *body, str(tmp_path / "answer.json"))
    assert json.loads((tmp_path / "answer.json").read_text()) == {"predictions": [[10, 20]]}


def raw(service, request):
    """Send bytes as they are and return the status of the answer; 0 if the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", service.status.port), timeout=60) as connection:
        connection.sendall(request.replace(b"HOST", b"127.0.0.1:%d" % service.status.port))
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1]) if answer else 0


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: abc\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: nonsense\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /\x00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: HOST\r\nBad Header: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: HOST\r\nAuthorization: a\r\nAuthorization: b\r\nContent-Length: 2\r\n\r\n{}",
        b"\x16\x03\x01 not HTTP at all\r\n\r\n",
    ],
)
def test_a_malformed_request_gets_a_4xx_and_the_server_goes_on(service, head):
    assert raw(service, head) in (*range(400, 500), 0)
    assert service.sagemaker.list_models(MaxResults=1)["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    ("name", "operation"),
    [("sagemaker", "list_models"), ("logs", "describe_log_groups"), ("cloudwatch", "list_metrics")],
)
def test_json_that_is_nested_deeply_is_refused(service, name, operation):
    client = service.client(name)
    # Deeper than any Python reads; how deep that is depends on its version.
    deep = b'{"NextToken": %s}' % (b"[" * 100_000 + b"]" * 100_000)
    client.meta.events.register("before-sign", lambda request, **_: setattr(request, "data", deep))
    with pytest.raises(ClientError) as failure:
        getattr(client, operation)()
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert failure.value.response["Error"]["Code"] == "SerializationException"


@pytest.mark.parametrize("call", ["list_buckets", "get_bucket_location", "get_bucket_versioning"])
def test_a_url_of_a_bucket_that_boto3_presigns_by_default_works(service, call):
    named = {} if call == "list_buckets" else {"Bucket": service.buckets.create()}
    url = service.client("s3", signature_version="s3").generate_presigned_url(call, Params=named)
    parts = urlsplit(url)
    assert send(service, f"{parts.path}?{parts.query}", method="GET", body=None)[0] == 200


def test_a_url_that_boto3_presigns_by_default_works(service):
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="a b", Body=b"content")
    client = service.client("s3", signature_version="s3")
    parts = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}))
    assert "AWSAccessKeyId=" in parts.query
    assert send(service, f"{parts.path}?{parts.query}", method="GET", body=None) == (200, "content")
    status, _ = send(service, f"{parts.path}x?{parts.query}", method="GET", body=None)
    assert status == 403
    parts = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "up"}))
    status, _ = send(service, f"{parts.path}?{parts.query}", method="PUT", body=b"new", Content_Type="")
    assert status == 200
    assert service.s3.get_object(Bucket=bucket, Key="up")["Body"].read() == b"new"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_of_an_upload_come_back(service, algorithm):
    bucket = service.buckets.create()
    put = service.s3.put_object(Bucket=bucket, Key="x", Body=b"bytes", ChecksumAlgorithm=algorithm)
    head = service.s3.head_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_s3_settings_that_would_not_last_are_refused_by_name(service):
    bucket = service.buckets.create()
    logging = {"LoggingEnabled": {"TargetBucket": bucket, "TargetPrefix": "x"}}
    for call, named in (
        (lambda: service.s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=logging), "logging"),
        (
            lambda: service.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={}),
            "notification",
        ),
        (
            lambda: service.s3.put_bucket_request_payment(
                Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"}
            ),
            "requestPayment",
        ),
        (lambda: service.s3.restore_object(Bucket=bucket, Key="x", RestoreRequest={"Days": 1}), "restore"),
    ):
        with pytest.raises(ClientError, match=f"does not support {named}") as failure:
            call()
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json; charset=utf-8", "text/csv", None])
def test_errors_of_the_runtime_can_be_read_whatever_was_sent(service, endpoint, content_type):
    named = {"ContentType": content_type} if content_type else {}
    with pytest.raises(ClientError) as failure:
        service.runtime.invoke_endpoint(EndpointName=endpoint, TargetModel="linear.tar.gz", Body=b"\x89", **named)
    response = failure.value.response
    assert (response["Error"]["Code"], response["OriginalStatusCode"] >= 400) == ("ModelError", True)


@pytest.mark.parametrize(
    ("name", "action", "arguments", "words"),
    [
        ("sagemaker-runtime", "invoke_endpoint_async", {"EndpointName": "e", "InputLocation": "s3://b/k"}, ". It has "),
        ("sagemaker-runtime", "invoke_endpoint_with_response_stream", {"EndpointName": "e", "Body": b""}, ". It has "),
        ("sagemaker", "list_notebook_instances", {}, ". It supports: AddTags, CreateEndpoint"),
        ("lambda", "list_functions", {}, "lambda. It has: "),
        ("logs", "list_anomalies", {}, ": moto "),
        ("cloudwatch", "get_metric_widget_image", {"MetricWidget": "{}"}, ": moto "),
        ("iam", "simulate_custom_policy", {"PolicyInputList": ["{}"], "ActionNames": ["s3:GetObject"]}, ": moto "),
        ("application-autoscaling", "describe_scaling_activities", {"ServiceNamespace": "sagemaker"}, ": moto "),
    ],
)
def test_what_is_missing_is_named_in_the_services_own_form_and_not_tried_again(service, name, action, arguments, words):
    client = service.client(name, retries={"total_max_attempts": 3})
    with pytest.raises(ClientError) as failure:
        getattr(client, action)(**arguments)
    response = failure.value.response
    operation = "" if name == "lambda" else client.meta.method_to_api_mapping[action]
    assert response["Error"]["Code"] == "UnsupportedOperation"
    assert response["Error"]["Message"].startswith(f"local_sagemaker has no {operation}{words}")
    assert response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.fixture(scope="module")
def small_service(tmp_path_factory):
    """A server that takes few connections, small heads and few bodies, and waits for nobody."""
    limits = {"MAX_CONNECTIONS": 8, "MAX_HEAD_BYTES": 5000, "IDLE_SECONDS": 2, "MAX_WAITING_BYTES": 100_000}
    with running(tmp_path_factory.mktemp("small"), **limits) as service:
        yield service


def connected(service):
    return socket.create_connection(("127.0.0.1", service.status.port), timeout=60)


def test_what_the_head_tells_is_checked_before_the_body_is_taken(small_service):
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 600000000\r\n\r\n" % small_service.status.port
    with connected(small_service) as connection:
        connection.sendall(head)  # and no body, whose length is not looked at
        assert b" 403 " in connection.makefile("rb").readline()


def test_a_head_without_an_end_is_refused(small_service):
    with connected(small_service) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000)
        assert b" 431 " in connection.makefile("rb").readline()


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n"])
def test_a_silent_client_is_not_waited_for(small_service, sent):
    with connected(small_service) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


@pytest.mark.slow
def test_idle_connections_do_not_keep_others_out(small_service):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(small_service)) for _ in range(20)]
        # The 12 that were silent longest make room. Only then is there a call: its client may keep a connection, too.
        assert [connection.recv(1) for connection in idle[:12]] == [b""] * 12
        assert small_service.sagemaker.list_models()["Models"] == []


def test_bodies_that_are_too_much_together_are_refused_with_an_error_that_clients_retry(small_service):
    with pytest.raises(ClientError) as failure:
        small_service.s3.put_object(Bucket="b", Key="k", Body=bytes(200_000))
    assert failure.value.response["Error"]["Code"] == "SlowDown"
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
