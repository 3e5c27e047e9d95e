"""Training jobs that really run: one process per instance, over a private ``/opt/ml``.

A job downloads its channels, runs the container's entry point (the SDK's own driver and the user's script), streams
the output to CloudWatch Logs, and packs and uploads what it leaves. Each job has a thread of its own.
"""

import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from local_sagemaker import archives, aws_services
from local_sagemaker.objects import Objects, parse_uri
from local_sagemaker.opt_ml import InputError, OptMl
from local_sagemaker.processes import Process
from local_sagemaker.records import Records, now
from local_sagemaker.settings import Settings

KIND = "training_job"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
METRIC_NAMESPACE = "/aws/sagemaker/TrainingJobs"
logger = logging.getLogger(__name__)


class TrainingJobs:
    """Starts, follows and stops training jobs; their state lives in the records."""

    def __init__(
        self, settings: Settings, records: Records, objects: Objects, job_environment: Mapping[str, str]
    ) -> None:
        """Create the runner and fail what a previous server left running.

        Args:
            settings: Limits and folders.
            records: Where jobs are recorded.
            objects: S3 objects.
            job_environment: Variables every job gets, such as the server's address and credentials.
        """
        self._settings = settings
        self._records = records
        self._objects = objects
        self._environment = job_environment
        self._runs: dict[str, _Run] = {}
        for name, job in records.all(KIND):
            if job["TrainingJobStatus"] in ("InProgress", "Stopping"):
                _finish(
                    records,
                    name,
                    "Failed",
                    "InternalServerError: The server ended while the job was running.",
                )
        shutil.rmtree(settings.jobs, ignore_errors=True)

    def start(self, name: str) -> None:
        """Run a recorded job in the background."""
        run = _Run(name, self._settings, self._records, self._objects, self._environment)
        self._runs[name] = run
        run.start()

    def stop(self, name: str) -> None:
        """Stop a running job: SIGTERM, then SIGKILL after the grace time, as SageMaker does."""
        run = self._runs.get(name)
        if run:
            run.request_stop("Stopped")

    def close(self) -> None:
        """End all running jobs at once; they become ``Failed``."""
        for run in self._runs.values():
            run.abort()
        for run in self._runs.values():
            run.join(timeout=30)


class _Run(threading.Thread):
    """One training job from download to upload."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        records: Records,
        objects: Objects,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(name=f"training-{name}", daemon=True)
        self._job_name = name
        self._settings = settings
        self._records = records
        self._objects = objects
        self._environment = environment
        job = records.get(KIND, name)
        if job is None:
            raise KeyError(name)
        self._job: dict[str, Any] = job
        self._region = job["TrainingJobArn"].split(":")[3]
        self._folder = settings.jobs / name
        self._processes: list[Process] = []
        self._stop_reason: str | None = None
        self._aborted = False
        self._lock = threading.Lock()
        self._final_metrics: dict[str, dict[str, Any]] = {}

    def request_stop(self, reason: str) -> None:
        """Ask the job to end; ``reason`` becomes the secondary status."""
        with self._lock:
            if self._stop_reason is not None:
                return
            self._stop_reason = reason
            for process in self._processes:
                process.terminate()
        timer = threading.Timer(self._settings.stop_grace_seconds, self._kill)
        timer.daemon = True
        timer.start()

    def abort(self) -> None:
        """End the job's processes at once, because the server stops."""
        with self._lock:
            self._aborted = True
        self._kill()

    def run(self) -> None:
        """Run the job; whatever happens, it ends in a terminal status."""
        try:
            self._run()
        except InputError as error:
            _finish(self._records, self._job_name, "Failed", str(error))
        except Exception as error:
            logger.exception("training job %s", self._job_name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            _finish(self._records, self._job_name, "Failed", reason)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        count = self._job["ResourceConfig"].get("InstanceCount", 1)
        hosts = [f"algo-{number}" for number in range(1, count + 1)]
        instances = [OptMl(self._folder / host / "opt" / "ml") for host in hosts]
        self._enter("Downloading", "Downloading input data")
        for host, instance in zip(hosts, instances, strict=True):
            instance.create(self._job, host, hosts)
            for channel in self._job.get("InputDataConfig", []):
                instance.download(channel, self._objects)
        self._enter("Training", "Training image download completed. Training in progress.")
        self._records.update(KIND, self._job_name, TrainingStartTime=now())
        codes = self._train(hosts, instances)
        self._records.update(KIND, self._job_name, TrainingEndTime=now())
        if self._aborted:
            reason = "InternalServerError: The server was stopped while the job was running."
            _finish(self._records, self._job_name, "Failed", reason)
        elif self._stop_reason:
            self._upload(instances)
            _finish(self._records, self._job_name, "Stopped", secondary=self._stop_reason)
        elif any(codes):
            code, instance = next((code, item) for code, item in zip(codes, instances, strict=True) if code)
            text = instance.failure_text() or "The training script failed. Its output is in CloudWatch Logs."
            _finish(self._records, self._job_name, "Failed", f"AlgorithmError: {text}, exit code: {code}")
        else:
            self._upload(instances)
            _finish(self._records, self._job_name, "Completed")

    def _train(self, hosts: list[str], instances: list[OptMl]) -> list[int]:
        readers = []
        with self._lock:
            for host, instance in zip(hosts, instances, strict=True):
                if self._stop_reason or self._aborted:
                    break
                process = Process(
                    self._command(instance),
                    environment=self._process_environment(instance),
                    folder=instance.code,
                )
                self._processes.append(process)
                reader = threading.Thread(target=self._follow, args=(process, host), daemon=True)
                reader.start()
                readers.append(reader)
        maximum = self._job["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        watchdog = threading.Timer(maximum, self.request_stop, ("MaxRuntimeExceeded",))
        watchdog.daemon = True
        watchdog.start()
        codes = [process.wait() for process in self._processes]
        watchdog.cancel()
        for reader in readers:
            reader.join()
        return codes

    def _command(self, instance: OptMl) -> list[str]:
        algorithm = self._job["AlgorithmSpecification"]
        entry = algorithm["ContainerEntrypoint"] + algorithm.get("ContainerArguments", [])
        return [instance.localise(part) for part in entry]

    def _process_environment(self, instance: OptMl) -> dict[str, str]:
        inherited = {key: os.environ[key] for key in ("LANG", "TMPDIR", "SSL_CERT_FILE") if key in os.environ}
        own = {
            # The interpreter that runs the server has the packages of the training image.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": os.environ.get("HOME", str(instance.root)),
            "PYTHONUNBUFFERED": "1",
            "TRAINING_JOB_NAME": self._job_name,
            "TRAINING_JOB_ARN": self._job["TrainingJobArn"],
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        job = {key: instance.localise(value) for key, value in self._job.get("Environment", {}).items()}
        return inherited | own | dict(self._environment) | job

    def _follow(self, process: Process, host: str) -> None:
        started = int(time.time() * 1000)
        stream = aws_services.LogStream(LOG_GROUP, f"{self._job_name}/{host}-{started}", region=self._region)
        definitions = [
            (item["Name"], re.compile(item["Regex"]))
            for item in self._job["AlgorithmSpecification"].get("MetricDefinitions", [])
        ]
        assert process.output is not None
        for raw in process.output:
            line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
            stream.write(line, timestamp=time.time())
            for name, expression in definitions:
                match = expression.search(line)
                if match:
                    self._record_metric(name, match[1], host)

    def _record_metric(self, name: str, text: str, host: str) -> None:
        try:
            value = float(text)
        except ValueError:
            return
        moment = now()
        dimensions = [{"Name": "TrainingJobName", "Value": self._job_name}, {"Name": "Host", "Value": host}]
        datum = {
            "MetricName": name,
            "Dimensions": dimensions,
            "Timestamp": moment.replace(tzinfo=None),
            "Value": value,
            "Unit": "None",
        }
        aws_services.put_metrics(METRIC_NAMESPACE, [datum], region=self._region)
        self._final_metrics[name] = {"MetricName": name, "Value": value, "Timestamp": moment}
        self._records.update(KIND, self._job_name, FinalMetricDataList=list(self._final_metrics.values()))

    def _upload(self, instances: list[OptMl]) -> None:
        self._enter("Uploading", "Uploading generated training model")
        bucket, prefix = parse_uri(self._job["OutputDataConfig"]["S3OutputPath"])
        base = f"{prefix.rstrip('/')}/{self._job_name}/output".lstrip("/")
        if not self._objects.has_bucket(bucket):
            raise InputError(f"ClientError: Artifact upload failed: the bucket {bucket!r} does not exist.")
        # Each instance's files go into one archive, as on SageMaker; the first instance wins where names clash.
        for name, folders in (
            ("model.tar.gz", [instance.model for instance in instances]),
            ("output.tar.gz", [instance.output_data for instance in instances]),
        ):
            for other in folders[1:]:
                _merge(other, folders[0])
            if not any(folders[0].iterdir()):
                continue
            with tempfile.TemporaryDirectory(dir=self._folder) as staging:
                archive = Path(staging) / name
                archives.pack(folders[0], archive)
                self._objects.put(bucket, f"{base}/{name}", archive)
            if name == "model.tar.gz":
                artifacts = {"S3ModelArtifacts": f"s3://{bucket}/{base}/{name}"}
                self._records.update(KIND, self._job_name, ModelArtifacts=artifacts)

    def _enter(self, status: str, message: str) -> None:
        _enter(self._records, self._job_name, status, message)

    def _kill(self) -> None:
        with self._lock:
            for process in self._processes:
                process.kill()


def _enter(records: Records, name: str, status: str, message: str, **changes: Any) -> None:
    """Move a job to a secondary status."""
    job = records.get(KIND, name)
    if job is None:
        return
    moment = now()
    transitions = job.get("SecondaryStatusTransitions", [])
    if transitions and "EndTime" not in transitions[-1]:
        transitions[-1]["EndTime"] = moment
    transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message})
    if "TrainingJobStatus" in changes:
        transitions[-1]["EndTime"] = moment
    records.update(
        KIND,
        name,
        SecondaryStatus=status,
        SecondaryStatusTransitions=transitions,
        LastModifiedTime=moment,
        **changes,
    )


def _finish(records: Records, name: str, status: str, reason: str = "", *, secondary: str | None = None) -> None:
    job = records.get(KIND, name) or {}
    changes: dict[str, Any] = {"TrainingJobStatus": status}
    started = job.get("TrainingStartTime")
    if started:
        seconds = max(1, round((now() - started) / timedelta(seconds=1)))
        count = job["ResourceConfig"].get("InstanceCount", 1)
        changes |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds * count}
    if reason:
        changes["FailureReason"] = reason[:1024]
    message = reason or f"Training job {status.lower()}"
    _enter(records, name, secondary or status, message, **changes)


def _merge(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            shutil.copy2(path, place)
