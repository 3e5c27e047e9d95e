"""Orphaned resources: what an aborted run of the series left. `python -m series.orphaned_resources list` shows them.

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
from typing import Any, NamedTuple

from botocore import xform_name
from botocore.exceptions import BotoCoreError

from helpers import endpoint, s3, session
from helpers.aws.connection import Connection

_Found = Iterator[tuple[str, str]]  # names and states, for people


class Resource(NamedTuple):
    """Something of the series that exists: its kind, one of `KINDS`, its name there, and what it is doing."""

    kind: str
    name: str
    state: str


def find(connection: Connection) -> list[Resource]:
    """Return what is left below the prefix of a connection, in the order in which it has to be deleted.

    Raises:
        ValueError: If the prefix is empty: it would take the whole bucket for the series.
    """
    if not connection.prefix:
        raise ValueError("An empty prefix means the whole bucket. Name the prefix of the series.")
    found: dict[str, list[Resource]] = {}
    for kind, how in reversed(KINDS.items()):  # what others hang on comes first
        hangs_on = {resource.name for resource in found.get(how.hangs_on, [])}
        found[kind] = [Resource(kind, *each) for each in how.find(connection, hangs_on)]
    return [resource for kind in KINDS for resource in found[kind]]


def delete(connection: Connection, resource: Resource) -> None:
    """Delete a resource, and wait where that takes its time."""
    KINDS[resource.kind].delete(connection, resource.name)


def table(resources: Sequence[Resource]) -> str:
    """Return resources as a table for a terminal."""
    rows = [("what", "name", "state", "bills on AWS"), *((*each, KINDS[each.kind].bills) for each in resources)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _pages(connection: Connection, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    for page in connection.boto.client(service).get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


def _described(connection: Connection, kind: str, key: str, **arguments: Any) -> Iterator[Any]:
    """Describe each of SageMaker's resources of a kind, such as `TrainingJob`."""
    describe = getattr(connection.boto.client("sagemaker"), f"describe_{xform_name(kind)}")
    for item in _pages(connection, "sagemaker", f"list_{xform_name(kind)}s", key, **arguments):
        yield describe(**{f"{kind}Name": item[f"{kind}Name"]})


def _jobs(connection: Connection, _: Collection[str]) -> _Found:
    for job in _described(connection, "TrainingJob", "TrainingJobSummaries", StatusEquals="InProgress"):
        if job["OutputDataConfig"]["S3OutputPath"].startswith(connection.base_uri):
            yield job["TrainingJobName"], job["SecondaryStatus"]


def _models(connection: Connection, _: Collection[str]) -> _Found:
    for model in _described(connection, "Model", "Models"):
        url = model.get("PrimaryContainer", {}).get("ModelDataUrl", "")
        if url.startswith(connection.base_uri):
            yield model["ModelName"], url


def _configs(connection: Connection, models: Collection[str]) -> _Found:
    for config in _described(connection, "EndpointConfig", "EndpointConfigs"):
        variants = config["ProductionVariants"]
        if any(variant.get("ModelName") in models for variant in variants):
            name = config["EndpointConfigName"]
            yield name, ", ".join(f"{each['InitialInstanceCount']} × {each['InstanceType']}" for each in variants)


def _endpoints(connection: Connection, configs: Collection[str]) -> _Found:
    for each in _described(connection, "Endpoint", "Endpoints"):
        if each["EndpointConfigName"] in configs:
            yield each["EndpointName"], each["EndpointStatus"]


def _scaling(connection: Connection, endpoints: Collection[str]) -> _Found:
    where = ("application-autoscaling", "describe_scalable_targets", "ScalableTargets")
    for target in _pages(connection, *where, ServiceNamespace="sagemaker"):
        if target["ResourceId"].split("/")[1] in endpoints:
            yield target["ResourceId"], f"{target['MinCapacity']} to {target['MaxCapacity']} instances"


def _alarms(connection: Connection, endpoints: Collection[str]) -> _Found:
    for alarm in _pages(connection, "cloudwatch", "describe_alarms", "MetricAlarms"):
        dimensions = {item["Name"]: item["Value"] for item in alarm.get("Dimensions", [])}
        if dimensions.get("EndpointName") in endpoints:
            yield alarm["AlarmName"], alarm.get("MetricName", "")


def _uploads(connection: Connection, _: Collection[str]) -> _Found:
    uploads = connection.s3.Bucket(connection.bucket).multipart_uploads.filter(Prefix=f"{connection.prefix}/")
    yield from ((f"s3://{connection.bucket}/{key}", "parts") for key in sorted({each.object_key for each in uploads}))


def _objects(connection: Connection, _: Collection[str]) -> _Found:
    objects = connection.s3.Bucket(connection.bucket).objects.filter(Prefix=f"{connection.prefix}/")
    sizes = [each.size for each in objects]
    if sizes:
        yield connection.base_uri, f"{len(sizes)}, {sum(sizes) / 1e6:,.1f} MB"


def _stop_job(connection: Connection, name: str) -> None:
    client = connection.boto.client("sagemaker")
    client.stop_training_job(TrainingJobName=name)
    # What it still uploads is to be deleted with the other objects.
    while client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("InProgress", "Stopping"):
        time.sleep(connection.poll_seconds)


def _deregister(connection: Connection, name: str) -> None:
    connection.boto.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker", ResourceId=name, ScalableDimension="sagemaker:variant:DesiredInstanceCount"
    )


def _delete_alarm(connection: Connection, name: str) -> None:
    connection.boto.client("cloudwatch").delete_alarms(AlarmNames=[name])


def _abort_uploads(connection: Connection, name: str) -> None:
    bucket, key = s3.split_uri(name)
    for upload in connection.s3.Bucket(bucket).multipart_uploads.filter(Prefix=key):
        if upload.object_key == key:
            upload.abort()


@dataclass(frozen=True)
class Kind:
    """How resources of a kind are found and deleted, what they cost on AWS, and the kind that says whose they are."""

    find: Callable[[Connection, Collection[str]], _Found]
    delete: Callable[[Connection, str], Any]
    bills: str
    hangs_on: str = ""


# In the order in which they are deleted.
KINDS = {
    "training job": Kind(_jobs, _stop_job, "by the second, until it ends"),
    "scaling": Kind(_scaling, _deregister, "nothing itself; it may add instances", hangs_on="endpoint"),
    "alarm": Kind(_alarms, _delete_alarm, "by the month", hangs_on="endpoint"),
    "endpoint": Kind(_endpoints, endpoint.delete_endpoint, "by the second, called or not", "endpoint configuration"),
    "endpoint configuration": Kind(_configs, endpoint.delete_config, "nothing", hangs_on="model"),
    "model": Kind(_models, endpoint.delete_model, "nothing"),
    "unfinished upload": Kind(_uploads, _abort_uploads, "storage"),
    "objects": Kind(_objects, s3.delete, "storage"),
}


def _agreed() -> bool:
    try:
        return input("Delete all of this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to answer
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 not deleted, 2 bad arguments."""
    parser = argparse.ArgumentParser(prog="python -m series.orphaned_resources", description=__doc__.splitlines()[0])
    words = "show what is left; delete also asks and deletes it"
    parser.add_argument("command", choices=("list", "delete"), help=words)
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument("--target", choices=session.TARGETS, default="local")
    parser.add_argument("--prefix", default="multi-model-endpoint", help="S3 key prefix of the series")
    arguments = parser.parse_args(argv)
    with session.running(arguments.target):
        try:
            connection = session.connect(arguments.target, prefix=arguments.prefix)
            found = find(connection)
        except (ValueError, RuntimeError, BotoCoreError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        shown = table(found) if found else "Nothing is left below this prefix. For another, pass --prefix."
        print(f"{connection.base_uri} {connection.where}:", shown, sep="\n", flush=True)
        if arguments.command == "list" or not found:
            return 0
        if not (arguments.yes or _agreed()):
            print("Nothing was deleted. To delete without being asked, pass --yes.")
            return 1
        for resource in found:
            delete(connection, resource)
            print(f"gone: {resource.kind} {resource.name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
