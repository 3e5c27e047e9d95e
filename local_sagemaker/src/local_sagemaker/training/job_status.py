"""The status of a training job in its record: primary, secondary, transitions, times, reason."""

import threading
from datetime import timedelta
from typing import Any

from local_sagemaker.records import Records, now
from local_sagemaker.settings import MAX_FAILURE_REASON_CHARACTERS

KIND = "training_job"
MESSAGES = {
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Stopping": "Stopping the training job",
    "Uploading": "Uploading generated training model",
}


class JobStatus:
    """Moves one training job through its statuses; several threads may."""

    def __init__(self, records: Records, name: str) -> None:
        """Work on the record of a job."""
        self._records = records
        self._name = name
        self._lock = threading.Lock()

    def enter(self, status: str) -> None:
        """Move the job to a secondary status, unless it has ended."""
        self._enter(status, MESSAGES[status])

    def note(self, **fields: Any) -> None:
        """Change other fields of the record."""
        self._records.update(KIND, self._name, **fields)

    def finish(self, status: str, reason: str = "", secondary: str = "") -> None:
        """End the job as ``Completed``, ``Failed`` or ``Stopped``; the secondary status may be another."""
        job = self._records.get(KIND, self._name) or {}
        changes: dict[str, Any] = {"TrainingJobStatus": status}
        started = job.get("TrainingStartTime")
        if started:
            changes["TrainingEndTime"] = job.get("TrainingEndTime", now())
            seconds = max(1, round((changes["TrainingEndTime"] - started) / timedelta(seconds=1)))
            count = job["ResourceConfig"].get("InstanceCount", 1)
            changes |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds * count}
        if reason:
            changes["FailureReason"] = reason[:MAX_FAILURE_REASON_CHARACTERS]
        self._enter(secondary or status, reason or f"Training job {status.lower()}", **changes)

    def _enter(self, status: str, message: str, **changes: Any) -> None:
        with self._lock:
            job = self._records.get(KIND, self._name)
            if job is None or job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                return
            moment = now()
            transitions = job.get("SecondaryStatusTransitions", [])
            if transitions and "EndTime" not in transitions[-1]:
                transitions[-1]["EndTime"] = moment
            transitions.append({"Status": status, "StartTime": moment, "StatusMessage": message})
            if "TrainingJobStatus" in changes:
                transitions[-1]["EndTime"] = moment
            self._records.update(
                KIND,
                self._name,
                SecondaryStatus=status,
                SecondaryStatusTransitions=transitions,
                LastModifiedTime=moment,
                **changes,
            )
