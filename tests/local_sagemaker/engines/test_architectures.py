import threading

import pytest


class Fake:
    """Stands for an architecture."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def architectures():
    from local_sagemaker.engines.architectures import Architectures

    return Architectures()


def test_an_architecture_is_built_once_and_closed_with_its_last_model(architectures):
    first = architectures.take("k", Fake)
    assert architectures.take("k", pytest.fail) is first
    assert architectures.take("other", Fake) is not first
    architectures.release("k")
    assert not first.closed
    architectures.release("k")
    assert first.closed
    assert architectures.take("k", Fake) is not first


def test_one_that_cannot_be_built_leaves_nothing(architectures):
    def fail():
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            architectures.take("k", fail)
    assert len(architectures) == 0
    assert architectures.take("k", Fake)


def test_models_that_are_loaded_at_the_same_time_share_what_one_of_them_builds(architectures):
    started, may_end, found = threading.Event(), threading.Event(), []

    def build():
        started.set()
        assert may_end.wait(60)
        return Fake()

    threads = [threading.Thread(target=lambda: found.append(architectures.take("k", build))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    architectures.take("another", Fake)  # which does not wait for the first
    may_end.set()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    assert len(set(map(id, found))) == 1
