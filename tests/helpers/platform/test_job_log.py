"""What is followed of a log; real jobs are followed in test_training.py."""

from types import SimpleNamespace

from helpers.platform import job_log

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

    def __init__(self):
        self.looks, self.read = 0, 0

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
        end = min(2 * self.looks, len(LINES))
        return {"events": [{"message": line} for line in LINES[begin:end]], "nextForwardToken": str(max(begin, end))}


def test_a_job_is_followed_to_its_end_with_the_last_words_of_its_log(monkeypatch):
    client, shown = Client(), []
    connection = SimpleNamespace(boto=SimpleNamespace(client=lambda _: client), poll_seconds=0.0)
    monkeypatch.setattr(job_log.tqdm, "set_postfix_str", lambda _, text: shown.append(text))
    description, end = job_log.follow(connection, "job")
    assert description["TrainingJobStatus"] == "Failed"
    assert shown == ["features 640/1712", "loss 0.5", "loss 0.4"]
    # The shell's own trace says nothing to whoever wrote the script.
    assert end.splitlines() == LINES[2:]
