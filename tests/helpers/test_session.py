import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import session
from local_sagemaker import daemon

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
    assert connection.metric_period == 1


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


def test_running_starts_the_server_and_stops_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path / "home"))
    with session.running("local"):
        assert daemon.status()
    assert daemon.status() is None


def test_running_leaves_a_server_that_ran_before(local_server, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(local_server.home))
    with session.running("local"):
        pass
    assert daemon.status(local_server.home) == local_server


def test_running_stops_the_server_after_an_error_too(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path / "home"))
    with pytest.raises(KeyboardInterrupt), session.running("local"):
        raise KeyboardInterrupt
    assert daemon.status() is None


def test_running_on_aws_starts_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path / "home"))
    with session.running("aws"):
        assert daemon.status() is None


def test_what_is_missing_on_aws_is_said_without_asking_aws(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SAGEMAKER_ROLE_ARN", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    credentials, region, role = session.missing_on_aws()
    assert "aws configure" in credentials and "AWS_DEFAULT_REGION" in region and "SAGEMAKER_ROLE_ARN" in role
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("SAGEMAKER_ROLE_ARN", "arn:aws:iam::123456789012:role/Me")
    assert session.missing_on_aws() == []


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
