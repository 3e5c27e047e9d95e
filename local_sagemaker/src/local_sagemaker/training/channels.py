"""Input channels of a training job: S3 objects that become files."""

import errno
import shutil
from pathlib import Path
from typing import Any

from local_sagemaker import s3_addresses
from local_sagemaker.errors import validation
from local_sagemaker.services.objects import Objects, StoredObject
from local_sagemaker.training.opt_ml import InputError, OptMl

SOURCE_CHANNELS = ("code", "sm_drivers")


def check(channel: dict[str, Any], job_mode: str) -> None:
    """Refuse a channel that cannot be provided here, in the input mode of its job, by what is not supported."""
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        kinds = ", ".join(channel["DataSource"]) or "no data source"
        raise validation(f"Channel {name!r} has {kinds}. local_sagemaker reads channels from an S3DataSource only.")
    asked = {source["S3DataType"], channel.get("InputMode", job_mode)}
    asked |= {channel.get(member, "None") for member in ("CompressionType", "RecordWrapperType")}
    unsupported = sorted(asked - {"S3Prefix", "File", "FastFile", "None"})
    if unsupported:
        raise validation(
            f"local_sagemaker does not support {', '.join(unsupported)} (channel {name!r}). "
            "Give S3DataType=S3Prefix and InputMode=File, without compression or record wrapper."
        )
    if not source["S3Uri"].startswith("s3://"):
        raise validation(f"The S3Uri of channel {name!r} must start with s3://.")


def download(channel: dict[str, Any], opt_ml: OptMl, objects: Objects, *, index: int = 0, count: int = 1) -> None:
    """Copy a channel's S3 objects below ``input/data`` of one instance.

    With ``ShardedByS3Key`` the instance of an index, from 0, gets every ``count``-th object.

    Raises:
        InputError: If nothing lies at the channel's address, or a key would leave the folder.
    """
    name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
    found = list(_objects(source["S3Uri"], objects))
    if not found:
        raise InputError(
            f"ClientError: Data download failed: no S3 objects found under S3 URL {source['S3Uri']!r} given in input "
            f"data source of channel {name!r}. Please ensure that the bucket exists and that objects lie under it."
        )
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        found = found[index::count]
    folder = opt_ml.root / "input/data" / name
    folder.mkdir(parents=True, exist_ok=True)
    for relative, stored in found:
        target = _copy(stored, folder, relative)
        if name in SOURCE_CHANNELS:
            opt_ml.localize_file(target)


def restore(uri: str, folder: Path, objects: Objects) -> None:
    """Copy the S3 objects below a folder's address, if any, into a folder; the errors are those of ``download``."""
    for relative, stored in _objects(uri.rstrip("/") + "/", objects):
        _copy(stored, folder, relative)


def _objects(uri: str, objects: Objects) -> list[tuple[str, StoredObject]]:
    bucket, prefix = s3_addresses.parse(uri)
    # The S3 console marks folders with empty objects.
    stored = [item for item in objects.list(bucket, prefix) if not item.key.endswith("/")]
    return [(_relative_key(item.key, prefix).lstrip("/"), item) for item in stored]


def _copy(stored: StoredObject, folder: Path, relative: str) -> Path:
    target = _place(folder, relative, stored.key)
    if target.exists():
        raise InputError(f"ClientError: The key {stored.key!r} would overwrite another object's file {relative!r}.")
    shutil.copyfile(stored.path, target)
    return target


def _place(folder: Path, relative: str, key: str) -> Path:
    try:
        target = (folder / relative).resolve()
        if target.is_relative_to(folder.resolve()):
            target.parent.mkdir(parents=True, exist_ok=True)
            return target
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"ClientError: The key {key!r} cannot become a file: {error}") from error
    raise InputError(f"ClientError: The key {key!r} leaves the folder {folder.name}.")


def _relative_key(key: str, prefix: str) -> str:
    """Return where below the channel's folder an object belongs, as SageMaker's ``S3Prefix`` input places it.

    What lies in the folder of that name loses the folder. What only begins alike keeps all behind the last slash, so
    that ``s3://bucket/cifar`` mixes the files of ``cifar`` and ``cifar_test`` up no more than their keys are.
    """
    if key.startswith(folder := prefix.rstrip("/") + "/"):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]
