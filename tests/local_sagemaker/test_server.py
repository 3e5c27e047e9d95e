import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError


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


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:1"])
def test_a_request_for_another_host_is_refused(service, host):
    status, text = send(service, Host=host)
    assert status == 403
    assert "Host header names another server" in text


def test_a_presigned_url_works_as_it_is_and_not_for_another_object(service):
    bucket = service.bucket()
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


def test_an_unsupported_service_is_named_with_what_is_supported(service):
    with pytest.raises(ClientError) as failure:
        service.client("dynamodb").list_tables()
    assert "local_sagemaker has no dynamodb. It has: " in str(failure.value)


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
