"""The log of a training job in CloudWatch Logs, followed while the job runs."""

import re
import time
from collections.abc import Iterator
from typing import Any

from helpers.progress import Step
from helpers.session import Connection

_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_EPOCH = re.compile(r"epoch (\d+)/(\d+) .*")
_STEP = re.compile(r"\w+ \d+/\d+")  # progress before the first epoch, such as "features 640/1712"
_SHELL_TRACE = re.compile(r"\++ |[A-Z_]+=|Traceback \(most recent call last\):$")
_TAIL = 20  # lines of the log that tell why a job failed


def follow(connection: Connection, job_name: str, step: Step) -> tuple[dict[str, Any], str]:
    """Wait for a training job, and show its state, its epochs and their lines.

    Returns:
        What ``DescribeTrainingJob`` says at the end, and the last lines of the log.
    """
    client = connection.boto.client("sagemaker")
    log = LogReader(connection, job_name)
    tail: list[str] = []
    doing = ""
    while True:
        description = client.describe_training_job(TrainingJobName=job_name)
        for line in log.new_lines():
            tail = [*tail[1 - _TAIL :], line]
            match = _EPOCH.fullmatch(line)
            if match:
                step.total = int(match[2])
                step.reach(int(match[1]))
                step.say(line)
            if match or _STEP.fullmatch(line):
                doing = "" if match else line
        step.note = ", ".join(filter(None, [description["SecondaryStatus"], doing]))
        if description["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        time.sleep(connection.poll_seconds)
    tail += log.new_lines()
    return description, "\n".join(line for line in tail[-_TAIL:] if not _SHELL_TRACE.match(line))


class LogReader:
    """Reads what a job newly wrote."""

    def __init__(self, connection: Connection, job_name: str) -> None:
        """Begin before the first line.

        Args:
            connection: The session.
            job_name: Name of the training job.
        """
        self._client = connection.boto.client("logs")
        self._prefix = f"{job_name}/"
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were not yielded before, instance by instance."""
        try:
            streams = self._client.describe_log_streams(logGroupName=_LOG_GROUP, logStreamNamePrefix=self._prefix)
        except self._client.exceptions.ResourceNotFoundException:
            return  # the group appears with the account's first line
        for stream in streams["logStreams"]:
            yield from self._stream_lines(stream["logStreamName"])

    def _stream_lines(self, name: str) -> Iterator[str]:
        while True:
            position = {"nextToken": self._tokens[name]} if name in self._tokens else {}
            page = self._client.get_log_events(
                logGroupName=_LOG_GROUP, logStreamName=name, startFromHead=True, **position
            )
            self._tokens[name] = page["nextForwardToken"]
            if not page["events"]:
                return
            yield from (event["message"] for event in page["events"])
