"""What a training job leaves in S3: the model and the output data, as archives or as files."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from local_sagemaker import archives, s3_addresses
from local_sagemaker.services.objects import Objects
from local_sagemaker.training.opt_ml import InputError, OptMl


def upload(job: dict[str, Any], instances: list[OptMl], objects: Objects, *, staging: Path) -> str:
    """Upload the artifacts of a job, and return the address of the model; empty if there is none.

    Each instance's files go into one place, as on SageMaker; the first instance wins where names clash.

    Raises:
        InputError: If the bucket does not exist.
    """
    config = job["OutputDataConfig"]
    bucket, prefix = s3_addresses.parse(config["S3OutputPath"])
    base = f"{prefix.rstrip('/')}/{job['TrainingJobName']}/output".lstrip("/")
    if not objects.has_bucket(bucket):
        raise InputError(f"ClientError: Artifact upload failed: the bucket {bucket!r} does not exist.")
    put = _put_files if config.get("CompressionType") == "NONE" else _put_archive
    first, *others = instances
    for other in others:
        _merge(other.model, first.model)
        _merge(other.output_data, first.output_data)
    model = put(first.model, "model", bucket, base, objects, staging)
    put(first.output_data, "output", bucket, base, objects, staging)
    return f"s3://{bucket}/{model}" if model else ""


def _put_archive(source: Path, name: str, bucket: str, base: str, objects: Objects, staging: Path) -> str:
    if not any(source.iterdir()):
        return ""
    key = f"{base}/{name}.tar.gz"
    with tempfile.TemporaryDirectory(dir=staging) as folder:
        archive = Path(folder) / f"{name}.tar.gz"
        archives.pack(source, archive)
        objects.put(bucket, key, archive)
    return key


def _put_files(source: Path, name: str, bucket: str, base: str, objects: Objects, _staging: Path) -> str:
    files = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    key = f"{base}/{name}/"
    for path in files:
        objects.put(bucket, key + path.relative_to(source).as_posix(), path)
    return key if files else ""


def _merge(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            shutil.copy2(path, place)
