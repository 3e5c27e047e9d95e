"""What an aborted run of the series left behind, and its removal: `python -m helpers.orphaned_resources list`.

Everything that the series creates leads to its S3 prefix: models serve archives below it, training jobs write there,
and endpoints, scaling and alarms hang on those models. So a thing belongs to the series because of where its data
lies, whatever its name; nothing else is touched. Finished training jobs and log streams stay: they cost nothing or next
to nothing, and they tell what happened.
"""

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError

from helpers import session
from helpers.aws import removal
from helpers.session import Connection

# What each kind costs on AWS while it exists.
BILLS = {
    "training job": "by the second, until it ends",
    "scaling": "nothing itself; it may add instances",
    "alarm": "by the month",
    "endpoint": "by the second, called or not",
    "endpoint configuration": "nothing",
    "model": "nothing",
    "unfinished upload": "storage",
    "objects": "storage",
}


@dataclass(frozen=True)
class Leftover:
    """Something of the series that exists.

    Attributes:
        kind: One of ``removal.REMOVE``, such as ``"endpoint"``.
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
    configs = list(_configs(connection, names, models=_names(models)))
    endpoints = list(_endpoints(connection, names, configs=_names(configs)))
    served = {*names, *_names(endpoints)}
    hangers_on = [*_scaling(connection, served), *_alarms(connection, served)]
    return [*jobs, *hangers_on, *endpoints, *configs, *models, *_uploads(connection), *_objects(connection)]


def _names(leftovers: Sequence[Leftover]) -> set[str]:
    return {leftover.name for leftover in leftovers}


def _pages(
    connection: Connection, service: str, operation: str, key: str, **arguments: Any
) -> Iterator[dict[str, Any]]:
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


def _configs(connection: Connection, names: Collection[str], *, models: Collection[str]) -> Iterator[Leftover]:
    client = connection.boto.client("sagemaker")
    found = _pages(connection, "sagemaker", "list_endpoint_configs", "EndpointConfigs")
    for name in [item["EndpointConfigName"] for item in found]:
        variants = client.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
        if name in names or any(variant.get("ModelName") in models for variant in variants):
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


def table(leftovers: Sequence[Leftover]) -> str:
    """Return the leftovers as a table for a terminal."""
    rows = [("what", "name", "state", "bills on AWS")]
    rows += [(item.kind, item.name, item.state, BILLS[item.kind]) for item in leftovers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helpers.orphaned_resources", description=__doc__.splitlines()[0])
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
        except (ValueError, RuntimeError, BotoCoreError) as error:
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
        for item in found:
            removal.REMOVE[item.kind](connection, item.name)
            print(f"gone: {item.kind} {item.name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
