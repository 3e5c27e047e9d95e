from local_sagemaker import aws_services
from local_sagemaker.metrics import INSTANCES, INVOCATIONS, Metrics, VariantMetrics


def test_values_reach_cloudwatch_once_with_their_units_and_dimensions(monkeypatch):
    sent = []
    monkeypatch.setattr(aws_services, "put_metrics", lambda *arguments, **options: sent.append((arguments, options)))
    metrics = Metrics()
    recorder = VariantMetrics(metrics, "e", "AllTraffic", region="eu-west-1")
    recorder.record("ModelCacheHit", 1)
    recorder.record_seconds("ModelLatency", 0.25)
    recorder.record("DiskUtilization", 12.5, namespace=INSTANCES)
    metrics.flush()
    metrics.flush()
    by_namespace = {namespace: data for (namespace, data), _ in sent}
    assert len(sent) == 2
    assert all(options == {"region": "eu-west-1"} for _, options in sent)
    hit, latency = by_namespace[INVOCATIONS]
    assert (hit["MetricName"], hit["Value"], hit["Unit"]) == ("ModelCacheHit", 1, "None")
    assert (latency["Value"], latency["Unit"]) == (250_000, "Microseconds")
    assert by_namespace[INSTANCES][0]["Unit"] == "Percent"
    assert {item["Name"]: item["Value"] for item in hit["Dimensions"]} == {
        "EndpointName": "e",
        "VariantName": "AllTraffic",
    }
