import contextlib
import os
import subprocess
import sys
from pathlib import Path

import boto3
import local_sagemaker
import pytest
from botocore.stub import Stubber

from helpers import session
from helpers.aws.connection import Account

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/SeriesExecutionRole"
PROJECT = Path(__file__).parents[2]


def test_a_target_that_does_not_exist_is_refused_with_the_ones_that_do():
    for use in (session.connect, lambda target: session.running(target).__enter__()):
        with pytest.raises(ValueError, match=r"target 'cloud' is unknown. Set TARGET to one of: local, aws"):
            use("cloud")


def test_a_connection_knows_the_places_of_the_series(connection, local_server):
    base = f"s3://{connection.bucket}/{connection.prefix}/"
    assert connection.target == "local"
    assert connection.role_arn == local_server.role_arn
    assert connection.base_uri == base
    assert connection.jobs_uri == f"{base}jobs/"
    assert connection.models_uri == f"{base}mme/"
    assert connection.user_models_uri == f"{base}mme-users/"
    assert connection.weights_uri == f"{base}weights/vgg16/"
    assert connection.dataset_uri("cifar") == f"{base}datasets/cifar/"
    assert connection.model_uri("sign-language") == f"{base}mme/sign-language.tar.gz"
    assert "on this machine" in connection.where


def test_a_connection_points_every_client_at_the_server_and_creates_the_bucket(connection, local_server):
    address = local_server.environment["AWS_ENDPOINT_URL"]
    for name in ("s3", "sagemaker", "sagemaker-runtime", "logs", "cloudwatch"):
        assert connection.boto.client(name).meta.endpoint_url == address
    buckets = [item["Name"] for item in connection.boto.client("s3").list_buckets()["Buckets"]]
    assert connection.bucket in buckets


def test_a_connection_does_not_show_its_keys(connection):
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in repr(connection)


def test_one_process_talks_to_one_target(local_server):
    program = (
        "import os\n"
        "from helpers import session\n"
        "session.connect('local')\n"
        "assert 'AWS_PROFILE' not in os.environ\n"
        "assert 'AWS_ENDPOINT_URL_S3' not in os.environ\n"
        "assert os.environ['NO_PROXY'] == 'intranet,127.0.0.1,localhost'\n"
        "try:\n"
        "    session.connect('aws')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    foreign = {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "NO_PROXY": "intranet"}
    environment = os.environ | foreign | {"LOCAL_SAGEMAKER_HOME": str(local_server.home)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "connected to 'local'" in done.stdout
    assert "Restart the kernel to use 'aws'" in done.stdout


def test_running_leaves_a_server_that_ran_before(local_server, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(local_server.home))
    with session.running("local"):
        pass
    assert local_sagemaker.status(local_server.home) == local_server


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_running_starts_the_server_and_stops_it_whatever_happens(tmp_path, monkeypatch, error):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path / "home"))
    with contextlib.suppress(KeyboardInterrupt), session.running("local"):
        assert local_sagemaker.status()
        if error:
            raise error
    assert local_sagemaker.status() is None


def test_running_on_aws_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path / "home"))
    with session.running("aws"):
        assert local_sagemaker.status() is None


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A process that is connected to nothing and knows nothing of AWS."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "SAGEMAKER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(session, "_IN_STUDIO", tmp_path / "none")
    monkeypatch.setattr(session, "_connected_to", None)


@pytest.fixture
def sts(stranger, monkeypatch):
    """AWS's answers to who somebody is that has credentials and a Region; beyond that nothing is asked of AWS."""
    values = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("sts")
    monkeypatch.setattr(boto3, "client", lambda name, **_: {"sts": client}[name])
    monkeypatch.setattr(session, "_open", lambda *arguments: arguments)
    with Stubber(client) as answers:
        yield answers


def identity(sts, arn):
    sts.add_response("get_caller_identity", {"Arn": arn, "Account": ACCOUNT, "UserId": "AIDA1234567890123456"})


def test_connecting_to_aws_with_nothing_says_all_that_is_missing_and_leaves_the_choice(stranger, monkeypatch):
    with pytest.raises(RuntimeError, match=r"needs credentials .*aws configure.* an AWS Region .* a role ") as error:
        session.connect("aws")
    assert "set TARGET to 'local'" in str(error.value)
    assert session._connected_to is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(RuntimeError, match=r"^The target 'aws' needs an AWS Region \(AWS_DEFAULT_REGION\)"):
        session.connect("aws")


def test_credentials_that_have_expired_are_named_at_once(sts):
    sts.add_client_error("get_caller_identity", "ExpiredToken", "The security token in the request is expired")
    with pytest.raises(RuntimeError, match=r"did not confirm your credentials: .*is expired\. .*aws sso login"):
        session.connect("aws")
    assert session._connected_to is None


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/me",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Developer_0123456789abcdef/me@example.com",
    ],
    ids=["user", "identity center"],
)
def test_who_is_no_execution_role_is_asked_for_one(sts, arn, monkeypatch):
    identity(sts, arn)
    with pytest.raises(RuntimeError, match=f"a role that SageMaker may assume .SAGEMAKER_ROLE_ARN.; {arn} is not one"):
        session.connect("aws")
    monkeypatch.setenv("SAGEMAKER_ROLE_ARN", "SeriesExecutionRole")
    identity(sts, arn)
    with pytest.raises(RuntimeError, match="is 'SeriesExecutionRole', which is not the ARN of a role"):
        session.connect("aws")
    monkeypatch.setenv("SAGEMAKER_ROLE_ARN", ROLE)
    identity(sts, arn)
    account = {"kms_key": "1234"}
    found = session.connect("aws", prefix="mine/", account=account)
    assert found == ("aws", "mine", Account(**account), ROLE, None)


def test_a_role_that_somebody_has_assumed_is_left_to_the_sdk(sts):
    identity(sts, f"arn:aws:sts::{ACCOUNT}:assumed-role/SeriesExecutionRole/SageMaker")
    assert session.connect("aws") == ("aws", "multi-model-endpoint", Account(), None, None)


@pytest.mark.slow
@pytest.mark.parametrize("collect", [True, False], ids=["collect", "run"])
def test_the_tests_on_aws_are_found_and_without_an_account_say_what_they_need(collect, tmp_path):
    alone = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAGEMAKER_"))}
    nothing = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    command = [sys.executable, "-m", "pytest", "--target", "aws", "-q", "-p", "no:cacheprovider", "tests/helpers"]
    done = subprocess.run(
        [*command, "--collect-only"] if collect else command,
        env=alone | nothing | {"AWS_EC2_METADATA_DISABLED": "true"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    if collect:
        assert "test_endpoint.py::test_pixels_and_files_are_predicted" in done.stdout
        assert "test_session.py" not in done.stdout
        assert done.returncode == 0, done.stderr
    else:
        assert "The tests on AWS need credentials of an AWS account" in done.stderr
        assert "SAGEMAKER_ROLE_ARN" in done.stderr
        assert done.returncode == 4


@pytest.mark.parametrize(("instance", "processor"), [("ml.c5.xlarge", "cpu"), ("ml.g4dn.xlarge", "gpu")])
def test_the_images_fit_the_instance(connection, instance, processor):
    training, serving = (connection.image(scope, instance) for scope in ("training", "inference"))
    assert "/tensorflow-training:2.21" in training and processor in training
    assert "/tensorflow-inference:2.20" in serving and (processor == "gpu") == ("gpu" in serving)
    assert all(f".{connection.region}." in image for image in (training, serving))
