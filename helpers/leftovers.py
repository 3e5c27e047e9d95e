"""What an aborted run of the series left behind, and its removal: `python -m helpers.leftovers list`.

Everything that the series creates leads to its S3 prefix: models serve archives below it, training jobs write there,
and endpoints, scaling and alarms hang on those models. So a thing belongs to the series because of where its data
lies, whatever its name; nothing else is touched. Finished training jobs and log streams stay: they cost nothing or next
to nothing, and they tell what happened.
"""

import argparse
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from helpers import endpoint, session, storage
from helpers.session import Connection


@dataclass(frozen=True)
class Leftover:
    """Something of the series that exists.

    Attributes:
        kind: One of the keys of ``KINDS``.
        name: Its name there.
        state: What can be told of it, for people.
    """

    kind: str
    name: str
    state: str


def find(connection: Connection, *, names: Collection[str] = ()) -> list[Leftover]:
    """Return what is left below the prefix of a connection, in the order in which it has to be deleted.

    Args:
        connection: The session.
        names: Endpoints that belong to the series even if none of their models is left.

    Raises:
        ValueError: If the prefix is empty: it would take the whole bucket for the series.
    """
    if not connection.prefix:
        raise ValueError("An empty prefix stands for the whole bucket. Name the prefix of the series.")
    jobs, models = list(_training_jobs(connection)), list(_models(connection, names))
    configs = list(_configs(connection, {*names, *_names(models)}))
    endpoints = list(_endpoints(connection, {*names, *_names(models), *_names(configs)}, configs=_names(configs)))
    served = {*names, *_names(models), *_names(configs), *_names(endpoints)}
    hangers_on = [*_scaling(connection, served), *_alarms(connection, served)]
    return [*jobs, *hangers_on, *endpoints, *configs, *models, *_uploads(connection), *_objects(connection)]


def delete(connection: Connection, leftovers: Sequence[Leftover], *, told: Callable[[Leftover], Any] = id) -> None:
    """Delete what was found, and wait for what takes its time.

    Args:
        connection: The session.
        leftovers: As ``find`` returns them.
        told: Called with each of them once it is gone.
    """
    for leftover in leftovers:
        KINDS[leftover.kind][1](connection, leftover.name)
        told(leftover)


def _names(leftovers: Sequence[Leftover]) -> set[str]:
    return {leftover.name for leftover in leftovers}


def _pages(connection: Connection, service: str, operation: str, key: str, **arguments: Any) -> Iterator[dict]:
    for page in connection.boto.client(service).get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


def _training_jobs(connection: Connection) -> Iterator[Leftover]:
    client = connection.boto.client("sagemaker")
    running = _pages(connection, "sagemaker", "list_training_jobs", "TrainingJobSummaries", StatusEquals="InProgress")
    for name in (item["TrainingJobName"] for item in running):
        job = client.describe_training_job(TrainingJobName=name)
        if job["OutputDataConfig"]["S3OutputPath"].startswith(connection.base_uri):
            yield Leftover("training job", name, job["SecondaryStatus"])


def _models(connection: Connection, names: Collection[str]) -> Iterator[Leftover]:
    client = connection.boto.client("sagemaker")
    for name in [item["ModelName"] for item in _pages(connection, "sagemaker", "list_models", "Models")]:
        url = client.describe_model(ModelName=name).get("PrimaryContainer", {}).get("ModelDataUrl", "")
        if url.startswith(connection.base_uri) or name in names:
            yield Leftover("model", name, url)


def _configs(connection: Connection, models: Collection[str]) -> Iterator[Leftover]:
    client = connection.boto.client("sagemaker")
    found = _pages(connection, "sagemaker", "list_endpoint_configs", "EndpointConfigs")
    for name in [item["EndpointConfigName"] for item in found]:
        variants = client.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
        if name in models or any(variant.get("ModelName") in models for variant in variants):
            kinds = [f"{variant['InitialInstanceCount']} × {variant['InstanceType']}" for variant in variants]
            yield Leftover("endpoint configuration", name, ", ".join(kinds))


def _endpoints(connection: Connection, names: Collection[str], *, configs: Collection[str]) -> Iterator[Leftover]:
    client = connection.boto.client("sagemaker")
    for name in [item["EndpointName"] for item in _pages(connection, "sagemaker", "list_endpoints", "Endpoints")]:
        description = client.describe_endpoint(EndpointName=name)
        if name in names or description["EndpointConfigName"] in configs:
            yield Leftover("endpoint", name, description["EndpointStatus"])


def _scaling(connection: Connection, endpoints: Collection[str]) -> Iterator[Leftover]:
    service = {"ServiceNamespace": "sagemaker"}
    found = _pages(connection, "application-autoscaling", "describe_scalable_targets", "ScalableTargets", **service)
    for target in found:
        if target["ResourceId"].split("/")[1] in endpoints:
            state = f"{target['MinCapacity']} to {target['MaxCapacity']} instances"
            yield Leftover("scaling", target["ResourceId"], state)


def _alarms(connection: Connection, endpoints: Collection[str]) -> Iterator[Leftover]:
    for alarm in _pages(connection, "cloudwatch", "describe_alarms", "MetricAlarms"):
        dimensions = {item["Name"]: item["Value"] for item in alarm.get("Dimensions", [])}
        if dimensions.get("EndpointName") in endpoints:
            yield Leftover("alarm", alarm["AlarmName"], alarm.get("MetricName", ""))


def _uploads(connection: Connection) -> Iterator[Leftover]:
    place = {"Bucket": connection.bucket, "Prefix": f"{connection.prefix}/"}
    keys = {upload["Key"] for upload in _pages(connection, "s3", "list_multipart_uploads", "Uploads", **place)}
    yield from (Leftover("unfinished upload", f"s3://{connection.bucket}/{key}", "parts") for key in sorted(keys))


def _objects(connection: Connection) -> Iterator[Leftover]:
    place = {"Bucket": connection.bucket, "Prefix": f"{connection.prefix}/"}
    sizes = [item["Size"] for item in _pages(connection, "s3", "list_objects_v2", "Contents", **place)]
    if sizes:
        yield Leftover("objects", connection.base_uri, f"{len(sizes)}, {sum(sizes) / 1e6:,.1f} MB")


def _stop_training_job(connection: Connection, name: str) -> None:
    client = connection.boto.client("sagemaker")
    client.stop_training_job(TrainingJobName=name)
    # What it still uploads is to be deleted with the other objects.
    while client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("InProgress", "Stopping"):
        time.sleep(connection.poll_seconds)


def _delete_endpoint(connection: Connection, name: str) -> None:
    while endpoint.find(connection, name) in ("Creating", "Updating"):  # SageMaker refuses to delete it then
        time.sleep(connection.poll_seconds)
    connection.boto.client("sagemaker").delete_endpoint(EndpointName=name)
    while endpoint.find(connection, name):
        time.sleep(connection.poll_seconds)


def _delete_config(connection: Connection, name: str) -> None:
    connection.boto.client("sagemaker").delete_endpoint_config(EndpointConfigName=name)


def _delete_model(connection: Connection, name: str) -> None:
    connection.boto.client("sagemaker").delete_model(ModelName=name)


def _deregister(connection: Connection, name: str) -> None:
    connection.boto.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker", ResourceId=name, ScalableDimension="sagemaker:variant:DesiredInstanceCount"
    )


def _delete_alarm(connection: Connection, name: str) -> None:
    connection.boto.client("cloudwatch").delete_alarms(AlarmNames=[name])


def _abort_uploads(connection: Connection, name: str) -> None:
    bucket, key = storage.split_uri(name)
    place = {"Bucket": bucket, "Prefix": key}
    for upload in list(_pages(connection, "s3", "list_multipart_uploads", "Uploads", **place)):
        if upload["Key"] == key:
            connection.boto.client("s3").abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])


# What each kind bills on AWS while it exists, and how it is removed.
KINDS: dict[str, tuple[str, Callable[[Connection, str], Any]]] = {
    "training job": ("by the second, until it ends", _stop_training_job),
    "scaling": ("nothing itself; it may add instances", _deregister),
    "alarm": ("by the month", _delete_alarm),
    "endpoint": ("by the second, called or not", _delete_endpoint),
    "endpoint configuration": ("nothing", _delete_config),
    "model": ("nothing", _delete_model),
    "unfinished upload": ("storage", _abort_uploads),
    "objects": ("storage", storage.delete),
}


def table(leftovers: Sequence[Leftover]) -> str:
    """Return the leftovers as a table for a terminal."""
    rows = [("what", "name", "state", "bills on AWS")]
    rows += [(item.kind, item.name, item.state, KINDS[item.kind][0]) for item in leftovers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helpers.leftovers", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    lister = commands.add_parser("list", help="show what is left, and delete nothing")
    deleter = commands.add_parser("delete", help="show what is left, ask, and delete it")
    deleter.add_argument("--yes", action="store_true", help="do not ask")
    for command in (lister, deleter):
        command.add_argument("--target", choices=session.TARGETS, default="local")
        command.add_argument("--prefix", default="multi-model-endpoint", help="S3 key prefix of the series")
        command.add_argument(
            "--name", dest="names", nargs="+", default=[], help="endpoints to look for besides, such as vision-models"
        )
    return parser.parse_args(argv)


def _agreed() -> bool:
    try:
        return input("Delete all of this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to answer
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 not deleted, 2 bad arguments."""
    arguments = _arguments(argv)
    with session.running(arguments.target):
        try:
            connection = session.connect(arguments.target, prefix=arguments.prefix)
            found = find(connection, names=arguments.names)
        except (ValueError, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        print(f"{connection.base_uri} {connection.where}:")
        if not found:
            print("Nothing is left.")
            return 0
        print(table(found), flush=True)
        if arguments.command == "list":
            return 0
        if not (arguments.yes or _agreed()):
            print("Nothing was deleted. To delete without being asked, pass --yes.")
            return 1
        delete(connection, found, told=lambda item: print(f"gone: {item.kind} {item.name}", flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
