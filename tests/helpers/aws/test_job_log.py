"""What is followed of a log; real jobs are followed in test_training.py."""

from types import SimpleNamespace

from helpers.aws import job_log
from helpers.display.progress import Step

LINES = [
    "+ python train.py",
    "SM_HOSTS=1",
    "features 640/1712",
    "epoch 1/2 loss 0.5",
    "epoch 2/2 loss 0.4",
    "ValueError: no",
]


class Client:
    """CloudWatch Logs and SageMaker: a job that is in another state at each look, and a log that grows meanwhile."""

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def __init__(self, lines, states, at_once):
        self.looks, self.lines, self.states, self.at_once = 0, lines, states, at_once

    def describe_training_job(self, TrainingJobName):
        self.looks += 1
        state = self.states[self.looks - 1]
        return {
            "TrainingJobStatus": state if state in ("Completed", "Failed") else "InProgress",
            "SecondaryStatus": state,
        }

    def describe_log_streams(self, **_):
        if self.states[self.looks - 1] != "Training" and self.looks < 3:
            raise KeyError("no group yet")
        return {"logStreams": [{"logStreamName": "job/algo-1"}]}

    def get_log_events(self, *, startFromHead, nextToken="0", **_):
        assert startFromHead
        begin = int(nextToken)
        end = min(self.at_once * (self.looks - self.states.index("Training")), len(self.lines))
        return {
            "events": [{"message": line} for line in self.lines[begin:end]],
            "nextForwardToken": str(max(begin, end)),
        }


def follow(lines, monkeypatch, *, states=("Starting", "Training", "Training", "Failed"), at_once=3):
    """Follow a job with such a log, and return what came of it, and what was shown: lines, and notes."""
    client, shown = Client(lines, states, at_once), []
    connection = SimpleNamespace(boto=SimpleNamespace(client=lambda _: client), poll_seconds=0.0)
    step = Step("job", unit="epochs")
    monkeypatch.setattr(step, "say", shown.append)
    monkeypatch.setattr(job_log.time, "sleep", lambda _: shown.append(step.note))
    return job_log.follow(connection, "job", step), shown, step


def test_a_job_is_followed_to_its_end_with_the_last_words_of_its_log(monkeypatch):
    (description, end), shown, step = follow(LINES, monkeypatch)
    assert description["TrainingJobStatus"] == "Failed"
    assert [line for line in shown if line.startswith("epoch")] == ["epoch 1/2 loss 0.5", "epoch 2/2 loss 0.4"]
    assert (step.done, step.total) == (2, 2)
    # The shell's own trace says nothing to whoever wrote the script.
    assert end.splitlines() == LINES[2:]


def test_before_the_first_epoch_the_bar_says_what_the_job_does(monkeypatch):
    lines = [
        "Executing command: python",
        "data: a",
        "features 64/80",
        "model: 5 parameters",
        "epoch 1/1 l",
        "test accuracy 1",
    ]
    states = ["Starting", "Downloading", *["Training"] * 6, "Uploading", "Completed"]
    _, shown, _ = follow(lines, monkeypatch, states=states, at_once=1)
    assert shown == [
        "waiting for an instance",
        "downloading data and scripts",
        "starting TensorFlow",
        "building the model",
        "features 64/80",
        "training",
        "epoch 1/1 l",
        "training",
        "saving the model",
        "uploading the model",
    ]
