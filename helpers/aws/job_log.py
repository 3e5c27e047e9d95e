"""The log of a training job in CloudWatch Logs, followed while the job runs."""

import re
import time
from collections.abc import Iterator
from typing import Any

from helpers.aws.connection import Connection
from helpers.display.progress import Step

_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_EPOCH = re.compile(r"epoch (\d+)/(\d+) .*")
_COUNT = re.compile(r"\w+ \d+/\d+")  # such as "features 640/1712"
# What a job does, by its secondary status, and while it trains, by how the last such line of its log begins.
_STATES = {
    "Starting": "waiting for an instance",
    "Downloading": "downloading data and scripts",
    "Uploading": "uploading the model",
}
_PHASES = {
    "Executing command: ": "starting TensorFlow",
    "data: ": "building the model",
    "model: ": "training",
    "test accuracy": "saving the model",
}
_SHELL_TRACE = re.compile(r"\++ |[A-Z_]+=|Traceback \(most recent call last\):$")
_TAIL = 20  # lines of the log that tell why a job failed


def follow(connection: Connection, job_name: str, step: Step) -> tuple[dict[str, Any], str]:
    """Wait for a training job and show what it does; return its description and the last lines of its log."""
    client = connection.boto.client("sagemaker")
    positions: dict[str, str] = {}
    tail: list[str] = []
    phase = "preparing the instance"
    while True:
        description = client.describe_training_job(TrainingJobName=job_name)
        for line in new_lines(connection, job_name, positions):
            tail = [*tail[1 - _TAIL :], line]
            phase = next((words for begin, words in _PHASES.items() if line.startswith(begin)), phase)
            if _COUNT.fullmatch(line):
                phase = line
            if match := _EPOCH.fullmatch(line):
                phase, step.total = "training", int(match[2])
                step.reach(int(match[1]))
                step.say(line)
        status = description["SecondaryStatus"]
        step.note = phase if status == "Training" else _STATES.get(status, status)
        if description["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        time.sleep(connection.poll_seconds)
    tail += new_lines(connection, job_name, positions)
    return description, "\n".join(line for line in tail[-_TAIL:] if not _SHELL_TRACE.match(line))


def new_lines(connection: Connection, job_name: str, positions: dict[str, str]) -> Iterator[str]:
    """Yield the lines that a job has newly written, instance by instance.

    `positions`, empty at first, says where each stream was left; this function keeps it up.
    """
    client = connection.boto.client("logs")
    try:
        streams = client.describe_log_streams(logGroupName=_LOG_GROUP, logStreamNamePrefix=f"{job_name}/")
    except client.exceptions.ResourceNotFoundException:
        return  # the group appears with the account's first line
    for stream in streams["logStreams"]:
        name = stream["logStreamName"]
        while True:
            position = {"nextToken": positions[name]} if name in positions else {}
            page = client.get_log_events(logGroupName=_LOG_GROUP, logStreamName=name, startFromHead=True, **position)
            positions[name] = page["nextForwardToken"]
            if not page["events"]:
                break
            yield from (event["message"] for event in page["events"])
