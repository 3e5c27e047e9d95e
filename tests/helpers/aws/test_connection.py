"""What an account asks for: read from settings, and found again in every request that it is about."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.client import BaseClient
from local_sagemaker import permissions as needed_permissions

from helpers import endpoint, s3, session, training
from helpers.aws.connection import Account, read_account
from series import assignment, permissions, runner

pytestmark = pytest.mark.slow

KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
VPC = {"Subnets": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0c"]}
IMAGES = {
    "training_image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:ours",
    "serving_image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:ours",
}
SETTINGS = {"subnets": ["subnet-0a", "subnet-0b"], "security_groups": ["sg-0c"], "kms_key": KEY, **IMAGES}


@pytest.fixture(scope="module")
def requests(connection, tmp_path_factory):
    """Service, operation and parameters of all requests of an upload, a copy, a training job and a deployment."""
    asked = []
    call = BaseClient._make_api_call

    def listen(self, operation, parameters):
        asked.append((self.meta.service_model.service_name, operation, parameters))
        return call(self, operation, parameters)

    company = dataclasses.replace(connection, account=read_account(SETTINGS))
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.txt").write_text("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", listen)
        patch.setattr(training, "SCRIPTS", Path(__file__).parents[1] / "job_scripts")
        data_uri = s3.upload(company, folder, company.dataset_uri("company"))
        s3.upload(company, folder / "a.txt", f"{data_uri}b.txt")
        result = training.train(
            company,
            "cifar",
            entry_script="succeed.py",
            channels={"training": data_uri},
            hyperparameters={"epochs": 2},
            instance_type="ml.c5.xlarge",
        )
        training.publish(company, result, slug="cifar")
        models = endpoint.deploy(company, "vision-models", models_uri=company.models_uri, instance_type="ml.c5.xlarge")
        models.delete()
    return asked


def only(requests, operation):
    [found] = [asked for _, name, asked in requests if name == operation]
    return found


def test_training_jobs_run_in_the_vpc_encrypted_with_the_key_in_the_accounts_image(requests):
    job = only(requests, "CreateTrainingJob")
    assert job["VpcConfig"] == VPC
    assert job["ResourceConfig"]["VolumeKmsKeyId"] == job["OutputDataConfig"]["KmsKeyId"] == KEY
    assert job["AlgorithmSpecification"]["TrainingImage"] == IMAGES["training_image"]


def test_endpoints_do_too(requests):
    model = only(requests, "CreateModel")
    assert model["VpcConfig"] == VPC
    assert model["PrimaryContainer"]["Image"] == IMAGES["serving_image"]
    assert only(requests, "CreateEndpointConfig")["KmsKeyId"] == KEY


def test_every_object_that_is_written_names_the_key(requests):
    writers = {"PutObject", "CopyObject", "CreateMultipartUpload"}
    written = [(name, asked) for service, name, asked in requests if service == "s3" and name in writers]
    assert {name for name, _ in written} >= {"PutObject", "CopyObject"}
    assert any("/sm_drivers/" in asked["Key"] for _, asked in written)  # the SDK's own uploads are among them
    assert all((asked["ServerSideEncryption"], asked["SSEKMSKeyId"]) == ("aws:kms", KEY) for _, asked in written)


def test_every_request_is_valid_for_the_service_model(requests, check_request):
    for request in requests:
        check_request(*request)


def test_the_policies_allow_what_they_need(requests, connection, allowed):
    values = {
        "account": connection.role_arn.split(":")[4],
        "region": connection.region,
        "role": connection.role_arn.rpartition("/")[2],
        "prefix": connection.prefix,
    }
    user = permissions.fill_in("notebook_user", **values)
    key = permissions.fill_in("kms_key", **values, key=KEY)
    needed = {
        need
        for service, operation, asked in requests
        for need in needed_permissions(service, operation, asked, region=connection.region)
    }
    assert {need for need in needed if need[1] == KEY} == {("kms:GenerateDataKey", KEY), ("kms:CreateGrant", KEY)}
    both = {"Statement": user["Statement"] + key["Statement"]}
    assert sorted(need for need in needed if not allowed(both, *need)) == []


# Settings


@pytest.mark.parametrize("settings", [{}, {"subnets": [], "kms_key": ""}, {"subnets": None, "kms_key": None}])
def test_without_settings_nothing_is_asked_for(settings):
    nothing = read_account(settings)
    assert (nothing.vpc, nothing.object_encryption, nothing.training_image) == ({}, {}, "")


def test_the_file_for_aws_has_every_setting_and_asks_for_nothing():
    settings = assignment.read_file(runner.NOTEBOOKS / "parameters" / "aws.yaml")["ACCOUNT"]
    assert list(settings) == [field.name for field in dataclasses.fields(Account)]
    assert read_account(settings) == Account()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"subnets": ["subnet-0a"]}, "Name security_groups too, or neither"),
        ({"security_groups": ["sg-0c"]}, "Name subnets too, or neither"),
        (
            {"subnets": ["sg-0c"], "security_groups": ["sg-0c"]},
            "subnets of ACCOUNT takes a list of ids that begin with subnet-, not",
        ),
        ({"security_groups": ["subnet-0a"]}, "security_groups of ACCOUNT takes a list of ids that begin with sg-"),
        ({"subnets": "subnet-0a"}, "subnets of ACCOUNT takes a list of ids that begin with subnet-, not 'subnet-0a'"),
        ({"subnets": [1]}, r"subnets of ACCOUNT takes a list of ids .*, not \[1\]"),
        ({"kms_key": ["a"]}, "kms_key of ACCOUNT takes a text"),
        ({"kms_key": "alias/ours"}, "ARN or the id of a key, not 'alias/ours'. .*describe-key"),
        ({"kms_keys": KEY}, "ACCOUNT takes no setting 'kms_keys'. Did you mean kms_key?"),
        ({"zone": "a"}, "ACCOUNT takes no setting 'zone'. It takes subnets, security_groups, kms_key"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_started(settings, words, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path / "home"))
    with pytest.raises(ValueError, match=words):
        session.connect("local", account=settings)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("key", [KEY, "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab"])
def test_a_key_is_named_by_its_arn_or_its_id(key):
    assert Account(kms_key=key).object_encryption["SSEKMSKeyId"] == key


def test_the_sdk_is_imported_without_a_slow_parser_that_it_does_not_need():
    """findings/jsonschema_builds_a_parser_at_import.sh."""
    code = """if True:
        import sys
        import boto3
        from helpers.aws.connection import sdk_session
        sdk_session(boto3.Session("key", "secret", region_name="us-east-1"), "bucket")
        assert "jsonschema" in sys.modules and "rfc3987_syntax" not in sys.modules
        from rfc3987_syntax import is_valid_syntax
        assert is_valid_syntax("iri", "https://example.org/")
        sdk_session(boto3.Session("key", "secret", region_name="us-east-1"), "bucket")
        assert sys.modules["rfc3987_syntax"]
    """
    subprocess.run([sys.executable, "-c", code], check=True)
