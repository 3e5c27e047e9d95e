"""What a training job runs: the container's entry point, or a script given the older way.

The older way ("script mode") is that of version 2 of the SageMaker Python SDK: hyperparameters name a script and an
archive with the source. In AWS's containers the sagemaker-training toolkit reads them; this module does what it does.
"""

import contextlib
import json
import os
import shlex
import shutil
from typing import Any

from local_sagemaker import archives, s3_addresses
from local_sagemaker.errors import validation
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings, region_of
from local_sagemaker.training import mpi
from local_sagemaker.training.opt_ml import CONTAINER_PATH, InputError, OptMl

_PROGRAM, _SOURCE = "sagemaker_program", "sagemaker_submit_directory"
# What the toolkit keeps from the script: it is meant for the container.
_PREFIX = "sagemaker_"
_INSTALL_AND_RUN = (
    "if [ -f requirements.txt ] && ! python -m pip install -r requirements.txt; then "
    'echo "InstallRequirementsError: installing requirements.txt failed" > "$SM_OUTPUT_DIR/failure"; exit 1; fi; '
    'exec "$@"'
)


def check(request: dict[str, Any]) -> None:
    """Refuse a job that says neither by an entry point nor by a script what to run."""
    if request["AlgorithmSpecification"].get("ContainerEntrypoint"):
        return
    parameters = _parsed(request.get("HyperParameters", {}))
    if not parameters.get(_PROGRAM) or not parameters.get(_SOURCE):
        raise validation(
            "The training job says not what to run. Give AlgorithmSpecification.ContainerEntrypoint, as the SDK's "
            f"ModelTrainer does, or the hyperparameters {_PROGRAM} and {_SOURCE} (an S3 address of a tar.gz archive)."
        )
    for name, value in parameters.items():
        if name.startswith(_PREFIX) and name.endswith("_enabled") and value is True and name != mpi.ENABLED:
            kind = name.removeprefix(_PREFIX).removesuffix("_enabled")
            raise validation(f"local_sagemaker does not train with {kind}. It knows distribution={{'mpi': …}}.")


class EntryPoint:
    """What one job runs."""

    def __init__(self, job: dict[str, Any]) -> None:
        """Read the job's record."""
        self._job = job
        self._entry = job["AlgorithmSpecification"].get("ContainerEntrypoint")
        self.parameters = _parsed(job.get("HyperParameters", {}))

    def prepare(self, instance: OptMl, objects: Objects, settings: Settings) -> None:
        """Put the source of a script below ``/opt/ml/code``; an ``InputError`` tells what is wrong with its archive."""
        source = "" if self._entry else str(self.parameters[_SOURCE])
        if not source.startswith("s3://"):
            return
        stored = objects.get(*s3_addresses.parse(source))
        if stored is None:
            raise InputError(f"ClientError: There is no archive at {source}, which {_SOURCE} names.")
        shutil.rmtree(instance.code)
        try:
            archives.unpack(
                stored.path,
                instance.code,
                max_bytes=settings.max_archive_bytes,
                max_members=settings.max_archive_members,
            )
        except archives.ArchiveError as error:
            raise InputError(f"ClientError: The archive at {source} cannot be unpacked: {error}") from error
        for path in instance.code.rglob("*"):
            if path.is_file():
                instance.localize_file(path)

    def command(self, instance: OptMl) -> list[str]:
        """Return the program and arguments for one instance."""
        if self._entry:
            arguments = self._job["AlgorithmSpecification"].get("ContainerArguments", [])
            return [instance.localize(part) for part in [*self._entry, *arguments]]
        driver = ["python", str(mpi.DRIVER)] if self.parameters.get(mpi.ENABLED) else []
        return ["/bin/sh", "-c", _INSTALL_AND_RUN, "sh", *driver, *self._script(instance)]

    def variables(self, instance: OptMl, host: str, hosts: list[str]) -> dict[str, str]:
        """Return the toolkit's ``SM_…`` variables for a script; none for an entry point, which sets its own.

        See ENVIRONMENT_VARIABLES.md of the sagemaker-training toolkit.
        """
        if self._entry:
            return {}
        config = {path.stem: json.loads(path.read_text()) for path in (instance.root / "input/config").iterdir()}
        channels = {name: str(instance.root / "input/data" / name) for name in sorted(config["inputdataconfig"])}
        given = self._given(instance)
        arguments = _arguments(given)
        plain: dict[str, Any] = {
            "current_host": host,
            "hosts": hosts,
            "network_interface_name": "lo",
            "current_instance_type": config["resourceconfig"]["current_instance_type"],
            "hps": given,
            "user_entry_point": self.parameters[_PROGRAM],
            "module_name": str(self.parameters[_PROGRAM]).removesuffix(".py"),
            "module_dir": self.parameters[_SOURCE],
            "framework_params": {},
            "resource_config": config["resourceconfig"],
            "input_data_config": config["inputdataconfig"],
            "channels": list(channels),
            "input_dir": instance.root / "input",
            "input_config_dir": instance.root / "input/config",
            "output_dir": instance.root / "output",
            "output_data_dir": instance.output_data,
            "output_intermediate_dir": instance.root / "output/intermediate",
            "model_dir": instance.model,
            "log_level": self.parameters.get("sagemaker_container_log_level", 20),
            "num_cpus": os.cpu_count() or 1,
            "num_gpus": 0,
            "user_args": arguments,
        }
        plain |= {f"channel_{name}": path for name, path in channels.items()}
        plain |= {f"hp_{name}": value for name, value in given.items()}
        plain["training_env"] = {name: value if _is_json(value) else str(value) for name, value in plain.items()}
        toolkit = {f"SM_{name.upper()}": _text(value) for name, value in plain.items()}
        return toolkit | {"SAGEMAKER_BASE_DIR": str(instance.root), "SAGEMAKER_REGION": self._region()}

    def failure(self, instance: OptMl, code: int, last_line: str) -> str:
        """Return the text of a failure of which the job itself said nothing."""
        quoted = [name for name, value in self._job.get("HyperParameters", {}).items() if "'" in value]
        if self._entry and quoted and any("sm_train.sh" in part for part in self.command(instance)):
            return (
                f"A single quote in the hyperparameter {', '.join(quoted)} breaks the shell file that the SageMaker "
                "SDK writes, so the training script did not start. Pass the value without it, or in a file."
            )
        if self._entry:
            return "The training script failed. Its output is in CloudWatch Logs."
        command = shlex.join(self._script(instance)).replace(str(instance.root), CONTAINER_PATH)
        return f'ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{last_line}"\nCommand "{command}"'

    def _script(self, instance: OptMl) -> list[str]:
        program = str(self.parameters[_PROGRAM])
        runner = ["python", program] if program.endswith(".py") else ["/bin/bash", program]
        return runner + _arguments(self._given(instance))

    def _given(self, instance: OptMl) -> dict[str, Any]:
        """Return the hyperparameters that are meant for the script."""
        localized = {name: instance.localize(value) for name, value in self._job.get("HyperParameters", {}).items()}
        return {name: value for name, value in _parsed(localized).items() if not name.startswith(_PREFIX)}

    def _region(self) -> str:
        return str(self.parameters.get("sagemaker_region") or region_of(self._job["TrainingJobArn"]))


def _parsed(parameters: dict[str, str]) -> dict[str, Any]:
    """Return hyperparameters with their values read as JSON where they are; version 2 of the SDK quotes all."""
    parsed: dict[str, Any] = dict(parameters)
    for name, value in parameters.items():
        with contextlib.suppress(ValueError):
            parsed[name] = json.loads(value)
    return parsed


def _arguments(parameters: dict[str, Any]) -> list[str]:
    """Return hyperparameters as arguments, sorted by name: ``--name value``, and ``-n value`` for a single letter."""
    arguments = []
    for name, value in sorted(parameters.items()):
        if isinstance(value, dict):
            value = ",".join(f"{key}={item}" for key, item in sorted(value.items()))
        arguments += [f"--{name}" if len(name) > 1 else f"-{name}", "" if value is None else str(value)]
    return arguments


def _is_json(value: Any) -> bool:
    return isinstance(value, (bool, dict, float, int, list, str)) or value is None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return (
        json.dumps(value, sort_keys=True, separators=(",", ":"))
        if _is_json(value) and not isinstance(value, str)
        else str(value)
    )
