import base64
import io
import random
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_sagemaker import s3_addresses
from local_sagemaker.settings import MEBIBYTE


@pytest.fixture(scope="module")
def bucket(service):
    return service.buckets.create()


def files(service):
    """The files that hold objects' bytes."""
    return set((service.status.home / "objects").iterdir())


def body(service, bucket, key, **options):
    return service.s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()


KEYS = ["plain.txt", "a/b c/ç+d&.txt", "a/../b", "./x", "-", "ğ" * 100]
KEYS += ["a%20b", "50%", "%2F", "a+b", "a//b", "/a", "a?b#c"]


@pytest.mark.parametrize("key", KEYS)
def test_an_object_comes_back_whatever_its_key(service, bucket, key):
    service.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert body(service, bucket, key) == key.encode()
    assert key in service.buckets.keys(bucket)


def test_a_key_with_a_line_break_is_refused_by_name(service, bucket):
    with pytest.raises(ClientError, match="takes no keys with a line break"):
        service.s3.put_object(Bucket=bucket, Key="a\nb", Body=b"")


def test_its_type_metadata_and_tag(service, bucket):
    put = service.s3.put_object(
        Bucket=bucket, Key="typed", Body=b"{}", ContentType="application/json", Metadata={"origin": "test"}
    )
    head = service.s3.head_object(Bucket=bucket, Key="typed")
    assert (head["ContentType"], head["Metadata"], head["ContentLength"]) == ("application/json", {"origin": "test"}, 2)
    assert head["ETag"] == put["ETag"] == '"99914b932bd37a50b983c5e7c90ae93b"'


def test_a_large_file_goes_up_and_down_in_parts(service, bucket):
    content = bytes(range(256)) * (20 * MEBIBYTE // 256)
    service.s3.upload_fileobj(io.BytesIO(content), bucket, "large")  # boto3 takes parts from 8 MiB on
    assert service.s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    target = io.BytesIO()
    service.s3.download_fileobj(bucket, "large", target)
    assert target.getvalue() == content
    assert body(service, bucket, "large", Range="bytes=255-257") == b"\xff\x00\x01"


def test_overwriting_and_deleting_leave_no_bytes_behind(service, bucket):
    before = files(service)
    for content in (b"one", b"two"):
        service.s3.put_object(Bucket=bucket, Key="changing", Body=content)
    assert body(service, bucket, "changing") == b"two"
    assert len(files(service) - before) == 1
    service.s3.delete_object(Bucket=bucket, Key="changing")
    assert files(service) == before
    with pytest.raises(ClientError, match="NoSuchKey"):
        body(service, bucket, "changing")


def test_many_are_deleted_at_once(service, bucket):
    before = files(service)
    keys = [f"many/{number} &<>" for number in range(3)]
    for key in keys:
        service.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = service.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert {item["Key"] for item in answer["Deleted"]} == set(keys)
    assert files(service) == before


def test_a_copy_is_an_object_of_its_own(service, bucket):
    service.s3.put_object(Bucket=bucket, Key="original", Body=b"content")
    service.s3.copy({"Bucket": bucket, "Key": "original"}, bucket, "copied/x")
    service.s3.delete_object(Bucket=bucket, Key="original")
    assert body(service, bucket, "copied/x") == b"content"


def test_writers_and_readers_of_one_key_see_whole_objects(service, bucket):
    bodies = [bytes([number]) * 300_000 for number in range(4)]

    def write(content):
        for _ in range(5):
            service.s3.put_object(Bucket=bucket, Key="contended", Body=content)

    write(bodies[0])
    with ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write, content) for content in bodies]
        reading = [threads.submit(body, service, bucket, "contended") for _ in range(60)]
        assert all(done.result() in bodies for done in reading)
        for done in writing:
            done.result()
    assert body(service, bucket, "contended") in bodies


@pytest.mark.parametrize("algorithm", ["SHA512", "MD5", "XXHASH64"])
def test_a_checksum_that_is_not_computed_here_is_refused_by_its_name_at_once(service, bucket, algorithm):
    client = service.client("s3")
    header = f"x-amz-checksum-{algorithm.lower()}"
    client.meta.events.register(
        "before-sign.s3.PutObject", lambda request, **_: request.headers.add_header(header, "AA")
    )
    before = files(service)
    for call in (
        lambda: client.create_multipart_upload(Bucket=bucket, Key="summed", ChecksumAlgorithm=algorithm),
        lambda: client.put_object(Bucket=bucket, Key="summed", Body=b"x"),
    ):
        with pytest.raises(ClientError, match=f"computes no {algorithm} of an upload") as failure:
            call()
        assert failure.value.response["Error"]["Code"] == "NotImplemented"
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert files(service) == before


def test_a_bucket_is_deleted_when_it_is_empty(service):
    name = service.buckets.create()
    service.s3.put_object(Bucket=name, Key="x", Body=b"")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        service.s3.delete_bucket(Bucket=name)
    service.s3.delete_object(Bucket=name, Key="x")
    service.s3.delete_bucket(Bucket=name)
    assert name not in [item["Name"] for item in service.s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    "name", ["UpperCase", "under_score", "a..b", "192.168.1.1", "-dash", "dash-", "xn--name", "name-s3alias", "ab"]
)
def test_a_bucket_name_that_s3_does_not_allow_is_refused(service, name):
    with pytest.raises(ClientError) as refusal:
        service.s3.create_bucket(Bucket=name)
    assert refusal.value.response["Error"]["Code"] == "InvalidBucketName"
    assert name not in {bucket["Name"] for bucket in service.s3.list_buckets()["Buckets"]}


def test_s3_addresses():
    assert s3_addresses.parse("s3://bucket/a/b") == ("bucket", "a/b")
    assert s3_addresses.parse("s3://bucket") == ("bucket", "")
    for host in ("s3", "s3.eu-west-1", "s3-eu-west-1"):
        assert s3_addresses.parse(f"https://{host}.amazonaws.com/bucket/a%20b/") == ("bucket", "a b/")
        assert s3_addresses.parse(f"https://my.bucket.{host}.amazonaws.com/a/b") == ("my.bucket", "a/b")
    for bad in ("", "/a/b", "https://bucket/a", "s3://", "https://s3.example.com/bucket/a"):
        with pytest.raises(ValueError, match=r"not an S3 URI. Write it as"):
            s3_addresses.parse(bad)


def test_a_multipart_upload_names_a_version_only_where_the_bucket_keeps_versions(service):
    bucket = service.buckets.create()
    for status in (None, "Enabled"):
        if status:
            service.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        named = {
            "Bucket": bucket,
            "Key": "k",
            "UploadId": service.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"],
        }
        part = service.s3.upload_part(PartNumber=1, Body=b"x", **named)
        parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
        answer = service.s3.complete_multipart_upload(MultipartUpload=parts, **named)
        assert ("VersionId" in answer) == bool(status)


def test_an_upload_that_is_not_under_way_is_named(service):
    named = {"Bucket": service.buckets.create(), "Key": "k", "UploadId": "gone"}
    calls = {
        "upload_part": {"PartNumber": 1, "Body": b"x"},
        "upload_part_copy": {"PartNumber": 1, "CopySource": f"{named['Bucket']}/k"},
        "complete_multipart_upload": {"MultipartUpload": {"Parts": [{"ETag": "e", "PartNumber": 1}]}},
        "abort_multipart_upload": {},
        "list_parts": {},
    }
    for call, more in calls.items():
        with pytest.raises(ClientError) as failure:
            getattr(service.s3, call)(**named, **more)
        answer = failure.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("NoSuchUpload", 404), call


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_an_object_with_the_content_type_of_a_form_keeps_its_bytes(service, content_type):
    place = {"Bucket": service.buckets.create(), "Key": "k"}
    service.s3.put_object(Body=b"a=1&b=2", ContentType=content_type, **place)
    found = service.s3.get_object(**place)
    assert (found["Body"].read(), found["ContentType"]) == (b"a=1&b=2", content_type)


@pytest.mark.parametrize(
    "call", ["get_object_torrent", "get_bucket_request_payment", "list_bucket_metrics_configurations"]
)
def test_settings_that_moto_cannot_read_are_refused_by_name(service, call):
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    key = {"Key": "k"} if "object" in call else {}
    with pytest.raises(ClientError, match="NotImplemented"):
        getattr(service.s3, call)(Bucket=bucket, **key)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is only there")
def test_a_large_upload_is_never_in_memory_whole(service):
    bucket, content = service.buckets.create(), random.randbytes(64 * MEBIBYTE)
    service.s3.put_object(Bucket=bucket, Key="small", Body=b"x")
    process = Path("/proc", str(service.status.pid))
    (process / "clear_refs").write_text("5")  # the peak is what is used now
    before = peak(process)
    service.s3.put_object(Bucket=bucket, Key="large", Body=content)
    assert peak(process) - before < 24 * MEBIBYTE
    upload = service.s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    service.s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=content)
    assert peak(process) - before < 24 * MEBIBYTE
    parts = service.s3.list_parts(Bucket=bucket, Key="parts", UploadId=upload)["Parts"]
    listed = [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts]
    service.s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": listed})
    assert peak(process) - before < 24 * MEBIBYTE
    assert body(service, bucket, "large") == body(service, bucket, "parts") == content


def peak(process):
    return int(re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())[1]) * 1024


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        ({"ContentMD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"),
        ({"Tagging": "aws:mine=1"}, "InvalidTag"),  # moto has made the object by then
        ({"IfNoneMatch": "*"}, "PreconditionFailed"),
    ],
)
def test_an_upload_that_is_refused_leaves_what_was_there(service, refused, code):
    bucket = service.buckets.create()
    service.s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    before = files(service)
    with pytest.raises(ClientError) as failure:
        service.s3.put_object(Bucket=bucket, Key="k", Body=b"new", **refused)
    assert failure.value.response["Error"]["Code"] == code
    assert body(service, bucket, "k") == b"old"
    assert files(service) == before
