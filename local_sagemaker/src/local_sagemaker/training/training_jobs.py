"""Training jobs that really run: one process per instance, over a private ``/opt/ml``.

A job downloads its channels, runs its entry point (the SDK's own driver, or a script), streams the output to
CloudWatch Logs, and packs and uploads what it leaves. Each job has a thread of its own.
"""

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from typing import Any

import regex

from local_sagemaker import software
from local_sagemaker.errors import STORAGE_ERRORS, losing
from local_sagemaker.processes import Process
from local_sagemaker.records import Records, now
from local_sagemaker.services import cloudwatch
from local_sagemaker.services.log_store import LogStream, sync_logs
from local_sagemaker.services.objects import Objects
from local_sagemaker.settings import Settings, region_of
from local_sagemaker.training import artifacts, channels, job_environments, mpi
from local_sagemaker.training.checkpoints import Checkpoints
from local_sagemaker.training.entry_points import EntryPoint
from local_sagemaker.training.job_status import KIND, JobStatus
from local_sagemaker.training.opt_ml import InputError, OptMl

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
METRIC_NAMESPACE = "/aws/sagemaker/TrainingJobs"
logger = logging.getLogger(__name__)
_AGAIN_AFTER = 1.0  # seconds, where the disk is full


class TrainingJobs:
    """Starts, follows and stops training jobs; their state lives in the records."""

    def __init__(
        self, settings: Settings, records: Records, objects: Objects, job_environment: Mapping[str, str]
    ) -> None:
        """Create the runner and fail what a previous server left running."""
        self._settings = settings
        self._records = records
        self._objects = objects
        self._environment = job_environment
        self._runs: dict[str, _Run] = {}
        for name, job in records.all(KIND):
            if job["TrainingJobStatus"] in ("InProgress", "Stopping"):
                reason = "InternalServerError: The server ended while the job was running."
                JobStatus(records, name).finish("Failed", reason)
        shutil.rmtree(settings.jobs, ignore_errors=True)

    def start(self, name: str) -> None:
        """Run a recorded job in the background."""
        self._runs = {other: run for other, run in self._runs.items() if run.is_alive()}
        run = _Run(name, self._settings, self._records, self._objects, self._environment)
        run.start()
        self._runs[name] = run

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
            run.join(timeout=self._settings.stop_seconds)


class _Run(threading.Thread):
    """One training job from download to upload."""

    def __init__(
        self, name: str, settings: Settings, records: Records, objects: Objects, environment: Mapping[str, str]
    ) -> None:
        super().__init__(name=f"training-{name}", daemon=True)
        self._settings = settings
        self._objects = objects
        self._environment = environment
        self._status = JobStatus(records, name)
        job = records.get(KIND, name)
        if job is None:
            raise KeyError(name)
        self._job: dict[str, Any] = job
        self._entry_point = EntryPoint(job)
        self._folder = settings.jobs / name
        # The job knows its folder by a link: the path of the home folder may hold what shell scripts stumble over.
        self._link = settings.temporary / f"job-{name}"
        count = job["ResourceConfig"].get("InstanceCount", 1)
        self._hosts = [f"algo-{number}" for number in range(1, count + 1)]
        self._instances = [OptMl(self._link / host / "opt" / "ml") for host in self._hosts]
        self._processes: list[Process] = []
        self._ranks: mpi.Ranks | None = None
        self._last_lines = dict.fromkeys(self._hosts, "")
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
        self._status.enter("Stopping")
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
            outcome = self._run()
        except InputError as error:
            outcome = ("Failed", str(error))
        except Exception as error:
            logger.exception("training job %s", self._job["TrainingJobName"])
            outcome = ("Failed", f"InternalServerError: {type(error).__name__}: {error}")
        # First, because a job that has ended can be deleted, and another one of its name has the same folder.
        if self._ranks:
            self._ranks.close()
        self._link.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        while True:
            try:
                self._status.finish(*outcome)
                break
            except STORAGE_ERRORS as error:
                logger.warning("The end of %s will be recorded later: %s", self._job["TrainingJobName"], error)
                if self._aborted:  # the next server tells that the job was cut off
                    break
                time.sleep(_AGAIN_AFTER)

    def _run(self) -> tuple[str, ...]:
        """Run the job and return the arguments of ``JobStatus.finish``."""
        self._enter("Downloading")
        self._prepare()
        config = self._job.get("CheckpointConfig")
        seconds = self._settings.checkpoint_seconds
        checkpoints = Checkpoints(config, self._instances, self._objects, seconds=seconds) if config else None
        if checkpoints:
            checkpoints.start()
        self._enter("Training")
        self._status.note(TrainingStartTime=now())
        try:
            codes = self._train()
        finally:
            if checkpoints:
                checkpoints.finish()
        sync_logs()
        self._status.note(TrainingEndTime=now())
        failed = next((index for index, code in enumerate(codes) if code), None)
        if self._aborted:
            return "Failed", "InternalServerError: The server was stopped while the job was running."
        if failed is not None and not self._stop_reason:
            return "Failed", self._failure(failed, codes[failed])
        self._upload()
        return ("Stopped", "", self._stop_reason) if self._stop_reason else ("Completed",)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True)
        self._settings.make_temporary()
        self._link.symlink_to(self._folder)
        for index, (host, instance) in enumerate(zip(self._hosts, self._instances, strict=True)):
            instance.create(self._job, host, self._hosts)
            job_environments.create_python(self._link / host / "python")
            for channel in self._job.get("InputDataConfig", []):
                channels.download(channel, instance, self._objects, index=index, count=len(self._hosts))
            self._entry_point.prepare(instance, self._objects, self._settings)
        self._ranks = mpi.read(self._entry_point.parameters, self._instances, self._link)
        if self._ranks:
            self._ranks.start()

    def _train(self) -> list[int]:
        """Run one process per instance; return their exit codes, that of the first failure first to be told."""
        threads = []
        codes = [0] * len(self._hosts)
        with self._lock:
            for index, (host, instance) in enumerate(zip(self._hosts, self._instances, strict=True)):
                if self._stop_reason or self._aborted:
                    break
                process = Process(
                    self._entry_point.command(instance),
                    environment=self._variables(host, instance),
                    folder=instance.code,
                )
                self._processes.append(process)
                threads.append(threading.Thread(target=self._follow, args=(process, host), daemon=True))
                threads.append(threading.Thread(target=self._await, args=(process, index, codes), daemon=True))
            for thread in threads:
                thread.start()
        maximum = self._job["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        watchdog = threading.Timer(maximum, self.request_stop, ("MaxRuntimeExceeded",))
        watchdog.daemon = True
        watchdog.start()
        for thread in threads:
            thread.join()
        watchdog.cancel()
        return codes

    def _await(self, process: Process, index: int, codes: list[int]) -> None:
        code = process.wait()
        with self._lock:
            # The first instance that fails ends the job: the others would wait for it forever.
            if code and not any(codes):
                codes[index] = code
                if not self._stop_reason:
                    for other in self._processes:
                        other.kill()

    def _variables(self, host: str, instance: OptMl) -> dict[str, str]:
        python = self._link / host / "python"
        own = job_environments.variables(self._job, instance, self._hosts, self._environment, python=python)
        own |= self._ranks.variables(self._hosts.index(host)) if self._ranks else {}
        return own | self._entry_point.variables(instance, host, self._hosts)

    def _follow(self, process: Process, host: str) -> None:
        name = self._job["TrainingJobName"]
        started = int(time.time() * 1000)
        region = region_of(self._job["TrainingJobArn"])
        stream = LogStream(LOG_GROUP, f"{name}/{host}-{started}", region=region)
        definitions = [
            (item["Name"], regex.compile(item["Regex"]))
            for item in self._job["AlgorithmSpecification"].get("MetricDefinitions", [])
        ]
        stream.write(software.describe(self._job["AlgorithmSpecification"]["TrainingImage"]))
        for raw in process.lines(most_bytes=self._settings.max_line_bytes):
            line = raw.decode("utf-8", errors="replace").rstrip("\r")
            self._last_lines[host] = line or self._last_lines[host]
            stream.write(line)
            for metric, expression in definitions:
                try:
                    match = expression.search(line, timeout=self._settings.regex_seconds, concurrent=True)
                except TimeoutError:
                    stream.write(f"local_sagemaker: the Regex of {metric} took too long and is not used any more.")
                    definitions = [each for each in definitions if each[0] != metric]
                    break
                if match:
                    with losing(f"a value of the metric {metric} of {name}"):
                        self._record_metric(metric, match[1], region)

    def _record_metric(self, name: str, text: str, region: str) -> None:
        try:
            value = float(text)
        except (TypeError, ValueError):  # no number, or an optional group that did not take part
            return
        moment = now()
        datum = {
            "MetricName": name,
            "Dimensions": [{"Name": "TrainingJobName", "Value": self._job["TrainingJobName"]}],
            "Timestamp": moment.replace(tzinfo=None),
            "Value": value,
            "Unit": "None",
        }
        cloudwatch.put(METRIC_NAMESPACE, [datum], region=region)
        self._final_metrics[name] = {"MetricName": name, "Value": value, "Timestamp": moment}
        self._status.note(FinalMetricDataList=list(self._final_metrics.values()))

    def _failure(self, index: int, code: int) -> str:
        instance = self._instances[index]
        last_line = self._last_lines[self._hosts[index]]
        text = instance.failure_text() or self._entry_point.failure(instance, code, last_line)
        return f"AlgorithmError: {text}, exit code: {code}"

    def _upload(self) -> None:
        self._status.enter("Uploading")
        model = artifacts.upload(self._job, self._instances, self._objects, staging=self._folder)
        if model:
            self._status.note(ModelArtifacts={"S3ModelArtifacts": model})

    def _enter(self, status: str) -> None:
        if not self._stop_reason:
            self._status.enter(status)

    def _kill(self) -> None:
        with self._lock:
            for process in self._processes:
                process.kill()
