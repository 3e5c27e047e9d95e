from types import SimpleNamespace

import pytest

from local_sagemaker.hosting.model_states import ModelSource
from local_sagemaker.hosting.variants import Host, Variant
from local_sagemaker.services.metrics import Metrics
from local_sagemaker.settings import Settings

SOURCE = ModelSource("bucket", "models/a.tar.gz", "a.tar.gz")


def instance(*, calls=0, loaded=0, holds=True, ready=True, in_flight=0, last_call=0.0):
    models = SimpleNamespace(holds=lambda _: holds, calls=lambda _: calls, loaded_count=loaded)
    return SimpleNamespace(models=models, ready=ready, in_flight=in_flight, last_call=last_call)


@pytest.fixture
def variant(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOT_MODEL_CALLS", "4")
    host = Host("endpoint", "us-east-1", Settings(home=tmp_path), objects=None, metrics=Metrics(), spare=None)
    plan = {
        "VariantName": "AllTraffic",
        "DesiredWeight": 1.0,
        "Image": "tensorflow-inference:2.20-cpu",
        "Mode": "MultiModel",
        "ModelDataUrl": "s3://bucket/models",
        "ModelCacheSetting": "Enabled",
        "Environment": {},
    }
    return Variant(plan, host, on_loss=None)


@pytest.mark.parametrize(
    ("instances", "chosen"),
    [
        ([instance(holds=False), instance(holds=True, loaded=5)], 1),  # where the model is
        ([instance(holds=False, loaded=3), instance(holds=False, loaded=2)], 1),  # else where there is most room
        ([instance(holds=False, in_flight=1), instance(holds=False)], 1),
        ([instance(holds=False, last_call=2.0), instance(holds=False, last_call=1.0)], 1),  # which waits the longest
        ([instance(last_call=2.0), instance(last_call=1.0)], 1),
        ([instance(holds=False, last_call=1.0), instance(holds=False, in_flight=1)], 0),
        ([instance(calls=3), instance(holds=False)], 0),  # not yet hot
        ([instance(calls=4), instance(holds=False)], 1),  # hot: it spreads
        ([instance(calls=4), instance(calls=2), instance(holds=False)], 1),  # not as long as a holder has time
        ([instance(calls=9), instance(calls=7)], 1),  # nowhere to spread to
        ([instance(ready=False), instance(holds=False)], 1),  # its container is being replaced
        ([instance(ready=False)], 0),  # which calls wait for
    ],
)
def test_a_call_goes_to_the_instance_that_holds_the_model_unless_it_is_hot(variant, instances, chosen):
    variant.instances = instances
    assert variant.instance(SOURCE) is instances[chosen]
