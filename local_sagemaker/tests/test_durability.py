"""What was acknowledged is there after the server was killed, at any moment."""

import hashlib
import io
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from clients import Service, eventually, gone, kill

from local_sagemaker import daemon
from local_sagemaker.settings import Settings

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024
# How long the random kills go on; the figures are in the test's output (pytest -s).
KILL_SECONDS = float(os.environ.get("LOCAL_SAGEMAKER_TEST_KILL_SECONDS", "25"))
SEED = int(os.environ.get("LOCAL_SAGEMAKER_TEST_SEED", "3"))


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    yield folder
    daemon.stop(folder)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A service whose server was killed and started again, and what was asked of it before."""
    home = tmp_path_factory.mktemp("killed")
    service = Service(daemon.start(home))
    before = write_everything(service)
    kill(service.status)
    (home / "objects" / "half-written").write_bytes(b"x")
    yield Service(daemon.start(home)), before
    daemon.stop(home)


def write_everything(service):
    """Use every kind of state that a client can be told is there; return what it was told."""
    s3, told = service.s3, {}
    s3.create_bucket(Bucket="kept")
    s3.create_bucket(Bucket="west", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    s3.put_bucket_tagging(Bucket="kept", Tagging=tags)
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketCORS", "Resource": "arn:aws:s3:::kept"}
        ],
    }
    s3.put_bucket_policy(Bucket="kept", Policy=json.dumps(policy))
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket="kept", PublicAccessBlockConfiguration=block)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="kept", ServerSideEncryptionConfiguration={"Rules": [rule]})
    lifecycle = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket="kept", LifecycleConfiguration={"Rules": [lifecycle]})
    s3.put_bucket_tagging(Bucket="west", Tagging=tags)
    s3.delete_bucket_tagging(Bucket="west")
    told["versions"] = [s3.put_object(Bucket="kept", Key="v", Body=body)["VersionId"] for body in (b"1", b"2")]
    s3.put_object(Bucket="kept", Key="gone", Body=b"x")
    told["marker"] = s3.delete_object(Bucket="kept", Key="gone")["VersionId"]
    s3.put_object(
        Bucket="west",
        Key="a b/ç",
        Body=b"x",
        Tagging="k=v&l=w",
        StorageClass="STANDARD_IA",
        ACL="public-read",
        CacheControl="no-cache",
        Metadata={"m": "1"},
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="1234",
    )
    told["head"] = s3.head_object(Bucket="west", Key="a b/ç")
    s3.put_object(Bucket="west", Key="tagged", Body=b"x")
    s3.put_object_tagging(Bucket="west", Key="tagged", Tagging={"TagSet": [{"Key": "late", "Value": "1"}]})
    s3.put_object_acl(Bucket="west", Key="tagged", ACL="public-read")
    told["upload"] = s3.create_multipart_upload(Bucket="west", Key="parts", Metadata={"n": "2"})["UploadId"]
    part = s3.upload_part(Bucket="west", Key="parts", UploadId=told["upload"], PartNumber=1, Body=bytes(5 * MEBIBYTE))
    told["part"] = part["ETag"]
    aborted = s3.create_multipart_upload(Bucket="west", Key="aborted")["UploadId"]
    s3.abort_multipart_upload(Bucket="west", Key="aborted", UploadId=aborted)

    iam = service.client("iam")
    role = iam.create_role(RoleName="mine", AssumeRolePolicyDocument="{}", Tags=[{"Key": "a", "Value": "b"}])["Role"]
    iam.put_role_policy(RoleName="mine", PolicyName="inline", PolicyDocument=json.dumps(policy))
    told["role"] = {name: role[name] for name in ("RoleId", "CreateDate", "Arn")}
    told["execution_role"] = iam.get_role(RoleName="LocalSageMakerRole")["Role"]["RoleId"]
    iam.create_user(UserName="someone")
    told["key"] = iam.create_access_key(UserName="someone")["AccessKey"]["AccessKeyId"]

    service.endpoints.create_model("m", "s3://kept/models/")
    service.endpoints.create_config("m")
    resource = service.sagemaker.describe_model(ModelName="m")["ModelArn"]
    service.sagemaker.add_tags(ResourceArn=resource, Tags=[{"Key": "team", "Value": "vision"}])
    told["model_arn"] = resource
    scaling = service.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
    told["targets"] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]

    job = service.jobs.request("echo one; echo two; sleep 600", bucket="kept", Tags=[{"Key": "j", "Value": "1"}])
    service.sagemaker.create_training_job(**job)
    told["job"] = job["TrainingJobName"]
    eventually(lambda: "two" in service.jobs.log(told["job"]))
    service.logs.create_log_group(logGroupName="own")
    service.logs.create_log_stream(logGroupName="own", logStreamName="s")
    event = {"timestamp": int(time.time() * 1000), "message": "mine"}
    service.logs.put_log_events(logGroupName="own", logStreamName="s", logEvents=[event])
    service.logs.put_retention_policy(logGroupName="/aws/sagemaker/TrainingJobs", retentionInDays=7)
    service.cloudwatch.put_metric_data(Namespace="Own", MetricData=[{"MetricName": "m", "Value": 4.0}])
    return told


def test_bucket_settings_survive_a_kill(killed):
    s3 = killed[0].s3
    assert s3.get_bucket_tagging(Bucket="kept")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"
    assert "s3:PutBucketCORS" in s3.get_bucket_policy(Bucket="kept")["Policy"]
    assert s3.get_public_access_block(Bucket="kept")["PublicAccessBlockConfiguration"]["BlockPublicAcls"]
    rules = s3.get_bucket_encryption(Bucket="kept")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_lifecycle_configuration(Bucket="kept")["Rules"][0]["Expiration"] == {"Days": 3}
    assert s3.get_bucket_location(Bucket="west")["LocationConstraint"] == "eu-west-1"
    with pytest.raises(ClientError, match="NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket="west")


def test_versions_and_delete_markers_survive_a_kill(killed):
    service, told = killed
    bodies = [
        service.s3.get_object(Bucket="kept", Key="v", VersionId=version)["Body"].read() for version in told["versions"]
    ]
    assert bodies == [b"1", b"2"]
    assert service.s3.get_object(Bucket="kept", Key="v")["Body"].read() == b"2"
    listed = service.s3.list_object_versions(Bucket="kept")
    assert [item["VersionId"] for item in listed["DeleteMarkers"]] == [told["marker"]]
    assert "gone" not in service.buckets.keys("kept")
    service.s3.delete_object(Bucket="kept", Key="gone", VersionId=told["marker"])
    assert service.s3.get_object(Bucket="kept", Key="gone")["Body"].read() == b"x"


def test_all_that_an_object_was_given_survives_a_kill(killed):
    s3, told = killed[0].s3, killed[1]
    head = s3.head_object(Bucket="west", Key="a b/ç")
    assert head | {"ResponseMetadata": None} == told["head"] | {"ResponseMetadata": None}
    assert not (killed[0].status.home / "objects" / "half-written").exists()
    assert (head["StorageClass"], head["CacheControl"], head["Metadata"]) == ("STANDARD_IA", "no-cache", {"m": "1"})
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "1234")
    tags = {item["Key"]: item["Value"] for item in s3.get_object_tagging(Bucket="west", Key="a b/ç")["TagSet"]}
    assert tags == {"k": "v", "l": "w"}
    assert s3.get_object_tagging(Bucket="west", Key="tagged")["TagSet"] == [{"Key": "late", "Value": "1"}]
    for key in ("a b/ç", "tagged"):
        grants = s3.get_object_acl(Bucket="west", Key=key)["Grants"]
        assert any(grant["Grantee"].get("URI", "").endswith("AllUsers") for grant in grants), key


def test_an_upload_in_parts_goes_on_after_a_kill(killed):
    service, told = killed
    s3, place = service.s3, {"Bucket": "west", "Key": "parts", "UploadId": told["upload"]}
    uploads = s3.list_multipart_uploads(Bucket="west")["Uploads"]
    assert [item["UploadId"] for item in uploads] == [told["upload"]]
    last = s3.upload_part(**place, PartNumber=2, Body=b"end")["ETag"]
    parts = [{"PartNumber": 1, "ETag": told["part"]}, {"PartNumber": 2, "ETag": last}]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    found = s3.get_object(Bucket="west", Key="parts")
    assert found["Body"].read() == bytes(5 * MEBIBYTE) + b"end"
    assert found["Metadata"] == {"n": "2"}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="west")


def test_iam_survives_a_kill_with_its_ids_and_dates(killed):
    service, told = killed
    iam = service.client("iam")
    role = iam.get_role(RoleName="mine")["Role"]
    assert {name: role[name] for name in told["role"]} == told["role"]
    assert iam.list_role_policies(RoleName="mine")["PolicyNames"] == ["inline"]
    assert iam.get_role(RoleName="LocalSageMakerRole")["Role"]["RoleId"] == told["execution_role"]
    keys = iam.list_access_keys(UserName="someone")["AccessKeyMetadata"]
    assert [item["AccessKeyId"] for item in keys] == [told["key"]]


def test_resources_and_tags_survive_a_kill(killed):
    service, told = killed
    assert service.sagemaker.list_tags(ResourceArn=told["model_arn"])["Tags"] == [{"Key": "team", "Value": "vision"}]
    assert service.sagemaker.describe_endpoint_config(EndpointConfigName="m")["EndpointConfigName"] == "m"
    targets = service.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    assert len(told["targets"]) == 1
    assert targets["ScalableTargets"] == told["targets"]


def test_a_job_cut_off_is_failed_and_its_log_is_there(killed):
    service, told = killed
    job = service.sagemaker.describe_training_job(TrainingJobName=told["job"])
    assert job["TrainingJobStatus"] == "Failed"
    assert "The server ended while the job was running" in job["FailureReason"]
    settings = Settings(home=service.status.home)
    assert not settings.jobs.exists() and list(settings.temporary.glob("job-*")) == []
    assert service.jobs.log(told["job"]) == ["one", "two"]
    assert service.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "j", "Value": "1"}]


def test_logs_and_metrics_of_clients_survive_a_kill(killed):
    service, _ = killed
    [event] = service.logs.get_log_events(logGroupName="own", logStreamName="s")["events"]
    assert event["message"] == "mine"
    groups = service.logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/TrainingJobs")["logGroups"]
    assert groups[0]["retentionInDays"] == 7
    assert service.statistics("Own", "m", {}) == (1, 4.0)


def test_deleted_logs_stay_deleted(home):
    service = Service(daemon.start(home))
    job = service.jobs.run("echo line")
    service.logs.delete_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    kill(service.status)
    service = Service(daemon.start(home))
    assert service.jobs.log(job["TrainingJobName"]) == []


@dataclass
class Ledger:
    """What the server acknowledged, and every call whose outcome is unknown: the old and each new value are right."""

    sure: dict[tuple[str, str], str] = field(default_factory=dict)
    open: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    acknowledged: int = 0

    def attempt(self, place, value, call):
        unknown = self.open.get(place, set())
        self.open[place] = unknown | {value}
        try:
            call()
        except EndpointConnectionError:
            self.open[place] = unknown  # it was never sent, so it has changed nothing
            raise
        self.sure[place] = value
        del self.open[place]
        self.acknowledged += 1


def write_until_killed(service, ledger, generator, ended):
    """Write objects, models and tags, and note each acknowledgement, until the server is gone."""
    while not ended.is_set():
        name = f"n{generator.randrange(12)}"
        kind = generator.choice(["object", "object", "object", "parts", "delete", "model", "tags", "role"])
        value = f"{generator.getrandbits(64):x}"
        try:
            write(service, ledger, kind, name, value, generator)
        except (BotoCoreError, ClientError, ConnectionError):
            if ended.is_set() or gone(service.status.pid):
                return


def write(service, ledger, kind, name, value, generator):
    s3, sagemaker = service.s3, service.sagemaker
    if kind == "object":
        body = value.encode() * generator.choice([1, 1, generator.randrange(1, 60_000)])
        ledger.attempt(("object", name), digest(body), lambda: s3.put_object(Bucket="ledger", Key=name, Body=body))
    elif kind == "parts":
        body = value.encode() * (6 * MEBIBYTE // len(value))
        ledger.attempt(("object", name), digest(body), lambda: upload(s3, name, body))
    elif kind == "delete":
        ledger.attempt(("object", name), "", lambda: s3.delete_object(Bucket="ledger", Key=name))
    elif kind == "model":
        ledger.attempt(("model", value), value, lambda: service.endpoints.create_model(value, "s3://ledger/models/"))
    elif kind == "tags":
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:model/{name}"
        if not ledger.sure.get(("model", name)):
            ledger.attempt(("model", name), name, lambda: service.endpoints.create_model(name, "s3://ledger/models/"))
        tags = [{"Key": "value", "Value": value}]
        ledger.attempt(("tag", arn), value, lambda: sagemaker.add_tags(ResourceArn=arn, Tags=tags))
    else:
        iam = service.client("iam")
        made = lambda: iam.create_role(RoleName=f"r{value}", AssumeRolePolicyDocument="{}")  # noqa: E731
        ledger.attempt(("role", f"r{value}"), value, made)


def upload(s3, name, body):
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=5 * MEBIBYTE, multipart_chunksize=5 * MEBIBYTE, max_concurrency=2)
    s3.upload_fileobj(io.BytesIO(body), "ledger", name, Config=config)


def digest(body):
    return hashlib.sha256(body).hexdigest()


def state(service):
    """All that the server has, in the ledger's terms; an object that cannot be read fails the test."""
    found = {}
    for name in service.buckets.keys("ledger"):
        body = service.s3.get_object(Bucket="ledger", Key=name)["Body"].read()
        found["object", name] = digest(body)
    models = [item for page in service.sagemaker.get_paginator("list_models").paginate() for item in page["Models"]]
    for model in models:
        found["model", model["ModelName"]] = model["ModelName"]
        for tag in service.sagemaker.list_tags(ResourceArn=model["ModelArn"])["Tags"]:
            found["tag", model["ModelArn"]] = tag["Value"]
    for role in service.client("iam").list_roles(MaxItems=1000)["Roles"]:
        if role["RoleName"] != "LocalSageMakerRole":
            found["role", role["RoleName"]] = role["RoleName"].removeprefix("r")
    return found


def check(ledger, found):
    """Compare what is there with what was acknowledged; return how much is lost or half-written."""
    wrong = []
    for place in {*ledger.sure, *ledger.open, *found}:
        right = {ledger.sure.get(place, "")} | ledger.open.get(place, set())
        if found.get(place, "") not in right:
            wrong.append((place, right, found.get(place, "")))
    return wrong


def test_random_kills_lose_nothing_that_was_acknowledged(home, record_property):
    generator = random.Random(SEED)
    ledger, kills, started = Ledger(), 0, time.monotonic()
    service = Service(daemon.start(home))
    service.s3.create_bucket(Bucket="ledger")
    while not kills or time.monotonic() - started < KILL_SECONDS:
        ended = threading.Event()
        writer = threading.Thread(target=write_until_killed, args=(service, ledger, generator, ended))
        writer.start()
        time.sleep(generator.uniform(0.05, 2.0))  # the random moment of the kill
        kill(service.status)
        ended.set()
        writer.join()
        kills += 1
        service = Service(daemon.start(home))
        found = state(service)
        assert check(ledger, found) == []
        # What was under way is now known.
        ledger.sure |= {place: found.get(place, "") for place in ledger.open}
        ledger.open.clear()
    objects = sum(place[0] == "object" for place in found)
    assert len(list((home / "objects").iterdir())) == objects + len(open_parts(service)), "files that nothing names"
    figures = f"{kills} kills, {ledger.acknowledged} acknowledged writes, 0 lost, seed {SEED}"
    record_property("figures", figures)
    print(figures)


def open_parts(service):
    uploads = service.s3.list_multipart_uploads(Bucket="ledger").get("Uploads", [])
    return [
        part
        for item in uploads
        for part in service.s3.list_parts(Bucket="ledger", Key=item["Key"], UploadId=item["UploadId"]).get("Parts", [])
    ]


def test_unpacked_models_survive_a_kill_and_a_stop(home, model_archives):
    """A model is downloaded again only if its object was replaced meanwhile."""

    def calls_of(service, *targets):
        for target in targets:
            service.endpoints.invoke("kept", {"instances": [[1, 2]]}, target=target)
        return [service.endpoints.metric("kept", name)[0] for name in ("ModelDownloadingTime", "ModelLoadingTime")]

    service = Service(daemon.start(home))
    bucket = service.buckets.create()
    for target in ("a", "b"):
        service.s3.upload_file(str(model_archives["linear"]), bucket, f"models/{target}")
    service.endpoints.create("kept", f"s3://{bucket}/models/")
    assert calls_of(service, "a", "b") == [2, 2]
    [disk] = (home / "endpoints" / "kept" / "AllTraffic").iterdir()
    kill(service.status)

    foreign = [disk / "models" / "partial", disk / "left.txt", disk.with_name("i-1"), home / "endpoints" / "other"]
    for folder in foreign:
        folder.mkdir()
        (folder / "file").touch()
    service = Service(daemon.start(home))
    assert calls_of(service, "a", "b") == [0, 2]
    assert not any(folder.exists() for folder in foreign)

    service.s3.put_object(Bucket=bucket, Key="models/a", Body=model_archives["linear"].read_bytes() + bytes(512))
    daemon.stop(home)
    service = Service(daemon.start(home))
    assert calls_of(service, "a", "b") == [1, 2]
    assert list(disk.parent.iterdir()) == [disk]
    service.endpoints.delete("kept")
    assert list((home / "endpoints").iterdir()) == []
