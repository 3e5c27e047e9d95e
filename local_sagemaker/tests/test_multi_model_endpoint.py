"""The claims of the blog post that this project re-creates, on a live endpoint."""

import uuid
from pathlib import Path

import numpy as np
import psutil
import pytest
from botocore.exceptions import ClientError

BRIGHT = {"dense": np.full((1, 4, 4, 3), 255), "convolution": np.full((1, 8, 8, 3), 255)}


def ask(service, endpoint, name):
    """Ask a classifier about a bright image and return its answer."""
    return service.endpoints.invoke(endpoint, {"instances": BRIGHT[name].tolist()}, target=f"{name}.tar.gz")[
        "predictions"
    ][0]


@pytest.fixture
def add_heavy(tight_service, tight_bucket, model_archives):
    """A function that publishes one more model of 1 MiB and returns its target name."""

    def add() -> str:
        target = f"heavy-{uuid.uuid4().hex[:8]}.tar.gz"
        tight_service.s3.upload_file(str(model_archives["heavy"]), tight_bucket, f"models/{target}")
        return target

    return add


def counts(service, endpoint):
    """How often the endpoint was called, hit its cache, downloaded, loaded and unloaded a model."""
    names = ("Invocations", "ModelDownloadingTime", "ModelLoadingTime", "ModelUnloadingTime")
    found = {name: service.endpoints.metric(endpoint, name)[0] for name in names}
    return found | {"hits": service.endpoints.metric(endpoint, "ModelCacheHit")[1]}


def changes(before, after):
    return {name: after[name] - before[name] for name in before if after[name] != before[name]}


def test_two_architectures_answer_behind_one_endpoint_from_one_container(tight_service, tight_endpoint):
    first, second = (ask(tight_service, tight_endpoint, name) for name in ("dense", "convolution"))
    assert first["label"] == second["label"] == "bright" and first != second
    assert sum(first["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert len(tight_service.endpoints.containers()) == 1
    client = tight_service.sagemaker
    [listed] = client.list_endpoints(NameContains=tight_endpoint, StatusEquals="InService")["Endpoints"]
    assert listed["EndpointArn"] == client.describe_endpoint(EndpointName=tight_endpoint)["EndpointArn"]


def test_the_first_call_loads_and_later_calls_do_not(tight_service, tight_endpoint, add_heavy):
    target = add_heavy()
    before = counts(tight_service, tight_endpoint)
    tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=target)
    first = counts(tight_service, tight_endpoint)
    done = changes(before, first)
    assert (done["Invocations"], done["ModelDownloadingTime"], done["ModelLoadingTime"]) == (1, 1, 1)
    assert "hits" not in done
    for _ in range(3):
        tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=target)
    assert changes(first, counts(tight_service, tight_endpoint)) == {"Invocations": 3, "hits": 3}


def test_a_model_is_added_without_touching_the_endpoint(tight_service, tight_endpoint, add_heavy):
    before = tight_service.sagemaker.describe_endpoint(EndpointName=tight_endpoint)
    containers = tight_service.endpoints.containers()
    answer = tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=add_heavy())
    assert len(answer["predictions"]) == 1
    after = tight_service.sagemaker.describe_endpoint(EndpointName=tight_endpoint)
    assert (after["LastModifiedTime"], after["EndpointStatus"]) == (before["LastModifiedTime"], "InService")
    assert tight_service.endpoints.containers() == containers


def test_an_unloaded_model_loads_again_without_a_download(tight_service, tight_endpoint, add_heavy):
    targets = [add_heavy() for _ in range(3)]
    for target in targets:  # the memory holds two of them: the third unloads the first
        tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=target)
    before = counts(tight_service, tight_endpoint)
    tight_service.endpoints.invoke(tight_endpoint, {"instances": [1]}, target=targets[0])
    done = changes(before, counts(tight_service, tight_endpoint))
    assert (done["ModelLoadingTime"], done["ModelUnloadingTime"]) == (1, 1)
    assert "ModelDownloadingTime" not in done
    assert "hits" not in done


def test_nothing_is_kept_after_the_clean_up(service, models_bucket):
    before = set(service.endpoints.containers())
    name = f"passing-{uuid.uuid4().hex[:8]}"
    service.endpoints.create_model(name, f"s3://{models_bucket}/models/")
    service.endpoints.create_config(name)
    service.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert service.endpoints.status(name) == "Creating"
    patience = {"Delay": 1, "MaxAttempts": 180}
    service.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=patience)
    ask(service, name, "dense")
    [container] = set(service.endpoints.containers()) - before
    sockets = [item.laddr for item in psutil.Process(container).net_connections("unix") if item.laddr]
    folder = service.status.home / "endpoints" / name
    assert folder.exists()

    service.sagemaker.delete_endpoint(EndpointName=name)
    assert service.endpoints.status(name) == "Deleting"
    service.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=patience)
    service.sagemaker.delete_endpoint_config(EndpointConfigName=name)
    service.sagemaker.delete_model(ModelName=name)
    assert not psutil.pid_exists(container) or psutil.Process(container).status() == psutil.STATUS_ZOMBIE
    assert not folder.exists()
    assert sockets
    assert not any(Path(path).exists() for path in sockets)
    assert service.sagemaker.list_endpoints(NameContains=name)["Endpoints"] == []
    assert service.sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []
    assert service.sagemaker.list_models(NameContains=name)["Models"] == []
    with pytest.raises(ClientError, match="not found"):
        ask(service, name, "dense")
