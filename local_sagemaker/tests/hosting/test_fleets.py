"""Updates of endpoints, variants and instances, on a live endpoint that is called all the time."""

import json
import threading
import uuid

import psutil
import pytest
from botocore.exceptions import ClientError
from clients import Service, eventually

from local_sagemaker import daemon

pytestmark = pytest.mark.slow

DOCUMENT = {"instances": [[1, 2]]}
ANSWER = {"predictions": [[10, 20]]}


class Caller:
    """Calls an endpoint from several threads until it is told to stop; every call must be answered."""

    def __init__(self, service, endpoint, *, threads=2):
        self.variants = []
        self.failures = []
        self._service, self._endpoint = service, endpoint
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self.failures == []

    def _call(self):
        while not self._stop.is_set():
            try:
                self.variants.append(called(self._service, self._endpoint))
            except Exception as error:
                self.failures.append(error)
                return


def called(service, endpoint, **options):
    """Call the model "linear" and return the name of the variant that answered."""
    response = service.runtime.invoke_endpoint(
        EndpointName=endpoint,
        TargetModel="linear.tar.gz",
        ContentType="application/json",
        Body=json.dumps(DOCUMENT),
        **options,
    )
    assert json.load(response["Body"]) == ANSWER
    return response["InvokedProductionVariant"]


def settled(service, endpoint):
    """The description of an endpoint once it is no longer updated."""
    eventually(lambda: service.endpoints.status(endpoint) != "Updating")
    return service.sagemaker.describe_endpoint(EndpointName=endpoint)


def variants(*names, count=1, weight=1.0, model):
    base = {"ModelName": model, "InstanceType": "ml.c5.large", "InitialInstanceCount": count}
    return [base | {"VariantName": name, "InitialVariantWeight": weight} for name in names]


@pytest.fixture(scope="module")
def updated(service, models_bucket):
    """An endpoint of one instance, which the tests of this module update."""
    name = f"updated-{uuid.uuid4().hex[:8]}"
    service.endpoints.create(name, f"s3://{models_bucket}/models/")
    yield name
    service.endpoints.delete(name)


def test_an_update_replaces_the_instances_without_a_failed_call(service, updated, models_bucket):
    client = service.sagemaker
    new = f"{updated}-b"
    service.endpoints.create_model(new, f"s3://{models_bucket}/models/")
    client.create_endpoint_config(EndpointConfigName=new, ProductionVariants=variants("A", "B", model=new))
    before, containers = client.describe_endpoint(EndpointName=updated), set(service.endpoints.containers())
    with Caller(service, updated) as caller:
        eventually(lambda: caller.variants)
        client.update_endpoint(EndpointName=updated, EndpointConfigName=new)
        described = client.describe_endpoint(EndpointName=updated)
        assert described["EndpointStatus"] == "Updating"
        assert described["EndpointConfigName"] == updated
        assert described["PendingDeploymentSummary"]["EndpointConfigName"] == new
        called(service, updated)
        described = settled(service, updated)
        eventually(lambda: {"A", "B"} <= set(caller.variants))
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == new
    assert described["LastModifiedTime"] > before["LastModifiedTime"]
    assert (described["CreationTime"], described["EndpointArn"]) == (before["CreationTime"], before["EndpointArn"])
    assert "PendingDeploymentSummary" not in described
    assert [variant["VariantName"] for variant in described["ProductionVariants"]] == ["A", "B"]
    assert set(caller.variants) == {"AllTraffic", "A", "B"}
    assert len(set(service.endpoints.containers()) - containers) == 2
    assert len(containers - set(service.endpoints.containers())) == 1  # the old one is gone
    for name in (updated, new):  # not needed any more, as on AWS
        client.delete_endpoint_config(EndpointConfigName=name)
        client.delete_model(ModelName=name)
    called(service, updated)
    for name in (updated, new):  # for the next tests, and the end
        service.endpoints.create_model(name, f"s3://{models_bucket}/models/")
        service.endpoints.create_config(name)


def test_weights_and_instance_counts_change_without_a_failed_call(service, updated):
    client = service.sagemaker
    with Caller(service, updated) as caller:
        changes = [
            {"VariantName": "A", "DesiredWeight": 0.0},
            {"VariantName": "B", "DesiredInstanceCount": 2, "DesiredWeight": 3.0},
        ]
        client.update_endpoint_weights_and_capacities(EndpointName=updated, DesiredWeightsAndCapacities=changes)
        described = client.describe_endpoint(EndpointName=updated)
        assert described["EndpointStatus"] == "Updating"
        [_, b] = described["ProductionVariants"]
        assert (b["CurrentInstanceCount"], b["DesiredInstanceCount"]) == (1, 2)
        described = settled(service, updated)
        caller.variants.clear()
        eventually(lambda: len(caller.variants) > 20)
        assert set(caller.variants[2:]) == {"B"}  # two were under way
        [a, b] = described["ProductionVariants"]
        assert (a["CurrentWeight"], b["CurrentWeight"]) == (0, 3)
        assert (a["CurrentInstanceCount"], b["CurrentInstanceCount"]) == (1, 2)
        assert called(service, updated, TargetVariant="A") == "A"
        changes = [{"VariantName": "B", "DesiredInstanceCount": 1}]
        containers = len(service.endpoints.containers())
        client.update_endpoint_weights_and_capacities(EndpointName=updated, DesiredWeightsAndCapacities=changes)
        settled(service, updated)
        assert len(service.endpoints.containers()) == containers - 1
    changes = [{"VariantName": "C", "DesiredWeight": 1}]
    with pytest.raises(ClientError, match=r'variant name.* "C" is/are not present'):
        client.update_endpoint_weights_and_capacities(EndpointName=updated, DesiredWeightsAndCapacities=changes)


def test_an_update_that_fails_leaves_the_old_instances_in_service(service, updated, models_bucket):
    client = service.sagemaker
    new = f"{updated}-bad"
    service.endpoints.create_model(new, f"s3://{models_bucket}/none.tar.gz", mode="SingleModel")
    service.endpoints.create_config(new)
    before, containers = client.describe_endpoint(EndpointName=updated), service.endpoints.containers()
    with Caller(service, updated):
        client.update_endpoint(EndpointName=updated, EndpointConfigName=new)
        described = settled(service, updated)
    assert described["EndpointStatus"] == "InService"
    assert "key: none.tar.gz" in described["FailureReason"]
    assert described["EndpointConfigName"] == before["EndpointConfigName"]
    assert described["ProductionVariants"] == before["ProductionVariants"]
    assert sorted(service.endpoints.containers()) == sorted(containers)


def test_an_update_may_retain_weights_and_counts(service, updated):
    client = service.sagemaker
    new = f"{updated}-kept"
    plans = variants("B", weight=7.0, count=2, model=updated)
    client.create_endpoint_config(EndpointConfigName=new, ProductionVariants=plans)
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    client.update_endpoint(
        EndpointName=updated,
        EndpointConfigName=new,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=excluded,
    )
    [variant] = settled(service, updated)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (1, 7)  # 1 as it was, 7 as configured


def test_variants_say_which_image_they_run(service, updated):
    [variant] = service.sagemaker.describe_endpoint(EndpointName=updated)["ProductionVariants"]
    [image] = variant["DeployedImages"]
    assert image["SpecifiedImage"] == image["ResolvedImage"]
    assert "tensorflow-inference" in image["SpecifiedImage"]
    assert image["ResolutionTime"]


def test_an_endpoint_needs_its_models_only_when_it_is_created(service, models_bucket):
    name = f"orphan-{uuid.uuid4().hex[:8]}"
    service.endpoints.create_model(name, f"s3://{models_bucket}/models/")
    service.endpoints.create_config(name)
    service.sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match="Could not find model"):
        service.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    service.sagemaker.delete_endpoint_config(EndpointConfigName=name)


def test_an_update_that_a_killed_server_interrupted_is_finished_after_its_restart(tmp_path, model_archives):
    service = Service(daemon.start(tmp_path))
    bucket = service.buckets.create()
    service.s3.upload_file(str(model_archives["linear"]), bucket, "models/linear.tar.gz")
    service.endpoints.create("kept", f"s3://{bucket}/models/")
    new = variants("New", model="kept")
    service.sagemaker.create_endpoint_config(EndpointConfigName="new", ProductionVariants=new)
    service.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="new")
    psutil.Process(service.status.pid).kill()
    eventually(lambda: daemon.status(tmp_path) is None)
    try:
        service = Service(daemon.start(tmp_path))
        called(service, "kept")  # the call waits for the instances
        described = settled(service, "kept")
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "new")
        assert called(service, "kept") == "New"
        daemon.stop(tmp_path)
        service = Service(daemon.start(tmp_path))
        called(service, "kept")
        assert service.sagemaker.describe_endpoint(EndpointName="kept") | {"ResponseMetadata": None} == described | {
            "ResponseMetadata": None
        }
    finally:
        daemon.stop(tmp_path)
