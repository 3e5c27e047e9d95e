"""What is followed of a log; real jobs are followed in test_training.py."""

from types import SimpleNamespace

from helpers.aws import job_log
from helpers.progress import Step

LINES = [
    "+ python train.py",
    "SM_HOSTS=1",
    "features 640/1712",
    "epoch 1/2 loss 0.5",
    "epoch 2/2 loss 0.4",
    "ValueError: no",
]


class Client:
    """CloudWatch Logs and SageMaker: a job that runs for three looks, and a log that grows by two lines with each."""

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def __init__(self, lines):
        self.looks, self.lines = 0, lines

    def describe_training_job(self, TrainingJobName):
        self.looks += 1
        status = "InProgress" if self.looks < 3 else "Failed"
        return {"TrainingJobStatus": status, "SecondaryStatus": "Training"}

    def describe_log_streams(self, **_):
        if self.looks == 1:
            raise KeyError("no group yet")
        return {"logStreams": [{"logStreamName": "job/algo-1"}]}

    def get_log_events(self, *, startFromHead, nextToken="0", **_):
        assert startFromHead
        begin = int(nextToken)
        end = min(2 * self.looks, len(self.lines))
        return {
            "events": [{"message": line} for line in self.lines[begin:end]],
            "nextForwardToken": str(max(begin, end)),
        }


def follow(lines, monkeypatch):
    """Follow a job with such a log, and return what came of it, and what was shown: lines, and notes."""
    client, shown = Client(lines), []
    connection = SimpleNamespace(boto=SimpleNamespace(client=lambda _: client), poll_seconds=0.0)
    step = Step("job", unit="epochs")
    monkeypatch.setattr(step, "say", shown.append)
    monkeypatch.setattr(job_log.time, "sleep", lambda _: shown.append(step.note))
    return job_log.follow(connection, "job", step), shown, step


def test_a_job_is_followed_to_its_end_with_the_last_words_of_its_log(monkeypatch):
    (description, end), shown, step = follow(LINES, monkeypatch)
    assert description["TrainingJobStatus"] == "Failed"
    assert shown == ["Training", "epoch 1/2 loss 0.5", "Training", "epoch 2/2 loss 0.4"]
    assert (step.done, step.total) == (2, 2)
    # The shell's own trace says nothing to whoever wrote the script.
    assert end.splitlines() == LINES[2:]


def test_the_state_of_a_job_stands_before_its_first_epoch(monkeypatch):
    _, shown, _ = follow(["data", "weights", "more", "features 640/1712", "epoch 1/1 loss 0"], monkeypatch)
    assert shown == ["Training", "Training, features 640/1712", "epoch 1/1 loss 0"]
