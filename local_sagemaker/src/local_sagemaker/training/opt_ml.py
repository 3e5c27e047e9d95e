"""The ``/opt/ml`` folder of one training instance, laid out in a private place.

A training container finds its channels, configuration and outputs below ``/opt/ml``. Here each instance has its own
folder instead, and the text ``/opt/ml`` in the SDK's driver scripts, the user's source, the arguments and the
hyperparameters is replaced by its path. That needs no privileges and works wherever Python does.
"""

import json
from pathlib import Path
from typing import Any

from local_sagemaker.settings import MAX_FAILURE_REASON_CHARACTERS

CONTAINER_PATH = "/opt/ml"
_TEXT_SUFFIXES = {".py", ".sh", ".json", ".yaml", ".yml", ".txt", ".cfg", ".toml"}


class InputError(ValueError):
    """The input of a training job cannot be provided; the message is its failure reason."""


class OptMl:
    """One instance's private ``/opt/ml``."""

    def __init__(self, root: Path) -> None:
        """Name the folder; nothing is created yet."""
        self.root = root

    @property
    def model(self) -> Path:
        """What becomes ``model.tar.gz``."""
        return self.root / "model"

    @property
    def output_data(self) -> Path:
        """What becomes ``output.tar.gz``."""
        return self.root / "output" / "data"

    @property
    def code(self) -> Path:
        """The working folder of the job."""
        return self.root / "code"

    def localize(self, text: str) -> str:
        """Replace ``/opt/ml`` in a text by the private folder."""
        return text.replace(CONTAINER_PATH, str(self.root))

    def create(self, job: dict[str, Any], host: str, hosts: list[str]) -> None:
        """Create the folders and the configuration files of a training job on a host such as ``algo-1``."""
        for folder in (
            self.root / "input/config",
            self.root / "input/data",
            self.model,
            self.output_data,
            self.code,
        ):
            folder.mkdir(parents=True)
        instance_type = job["ResourceConfig"]["InstanceType"]
        resources = {
            "current_host": host,
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": hosts,
            "instance_groups": [
                {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": hosts}
            ],
            "network_interface_name": "lo",
        }
        channels = {}
        for channel in job.get("InputDataConfig", []):
            source, kind = channel["DataSource"]["S3DataSource"], channel.get("ContentType")
            channels[channel["ChannelName"]] = {
                "TrainingInputMode": channel.get("InputMode", "File"),
                "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": "None",
            } | ({"ContentType": kind} if kind else {})
        hyperparameters = {name: self.localize(value) for name, value in job.get("HyperParameters", {}).items()}
        files: dict[str, Any] = {
            "resourceconfig": resources,
            "inputdataconfig": channels,
            "hyperparameters": hyperparameters,
        }
        if "CheckpointConfig" in job:
            files["checkpointconfig"] = {name: self.localize(text) for name, text in job["CheckpointConfig"].items()}
        for name, content in files.items():
            (self.root / "input/config" / f"{name}.json").write_text(json.dumps(content))

    def failure_text(self) -> str:
        """Return what the job wrote to ``/opt/ml/output/failure``, at most its last 1,024 characters."""
        path = self.root / "output" / "failure"
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4 * MAX_FAILURE_REASON_CHARACTERS))
            return file.read().decode(errors="replace")[-MAX_FAILURE_REASON_CHARACTERS:].strip()

    def localize_file(self, path: Path) -> None:
        """Replace ``/opt/ml`` in a source file by the private folder."""
        if path.suffix not in _TEXT_SUFFIXES:
            return
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return
        if CONTAINER_PATH in text:
            path.write_text(self.localize(text), encoding="utf-8")
