"""This project's whole path: boto3, the endpoint of local_sagemaker, its container; and the least that boto3 costs."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local_sagemaker import daemon
from local_sagemaker.archives import pack
from servers.server import HttpServer, Server
from serving_load import HOST, Connection, http_request
from serving_requests import PROGRAMS, Example

ENDPOINT, BUCKET = "benchmark", "benchmark"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.20-cpu"


class Endpoint(Server):
    """A multi-model endpoint in a home folder of its own.

    A call is timed as one signed request over a plain socket, like the calls of the other servers; `time_boto3_calls`
    times what a caller of boto3 waits.
    """

    name = "endpoint"
    settings = "python -m local_sagemaker start; one instance with limits of 64 GiB; signed InvokeEndpoint calls"

    @property
    def home(self) -> Path:
        """The server's home folder."""
        return self.workplace / "home"

    def start(self) -> None:
        """Start the server and bring an endpoint into service."""
        os.environ |= {f"LOCAL_SAGEMAKER_INSTANCE_{what}_BYTES": str(64 * 1024**3) for what in ("MEMORY", "DISK")}
        self._status = daemon.start(self.home)
        self.port = self._status.port
        self._connection = Connection(self.port)
        self.s3, self.sagemaker, self._runtime = map(self.client, ("s3", "sagemaker", "sagemaker-runtime"))
        self.s3.create_bucket(Bucket=BUCKET)
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/", "Mode": "MultiModel"}
        self.sagemaker.create_model(
            ModelName=ENDPOINT, ExecutionRoleArn=self._status.role_arn, PrimaryContainer=container
        )
        variant = {"VariantName": "AllTraffic", "ModelName": ENDPOINT, "InitialInstanceCount": 1}
        variant["InstanceType"] = "ml.c5.large"
        self.sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
        self.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1})

    def stop(self) -> None:
        """Stop the server."""
        daemon.stop(self.home)

    def client(self, service: str, **address: Any) -> Any:
        """Return a boto3 client of the server, or of another address."""
        environment = self._status.environment
        return boto3.client(
            service,
            endpoint_url=address.get("endpoint_url", environment["AWS_ENDPOINT_URL"]),
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(read_timeout=300, proxies={}, retries={"total_max_attempts": 1}),
        )

    def load(self, model: str, folder: Path) -> None:
        """Pack and upload a model; its first call loads it."""
        archive = self.workplace / "model.tar.gz"
        pack(folder, archive)
        self.upload(model, archive)

    def upload(self, model: str, archive: Path) -> None:
        """Put an archive where the endpoint finds it."""
        self.s3.upload_file(str(archive), BUCKET, f"models/{model}.tar.gz")

    def time_calls(self, model: str, example: Example, *, calls: int) -> list[float]:
        """Return the duration of each of so many calls with one signed request, in seconds."""
        return self._connection.time(self.request(model, example), calls=calls)

    def time_boto3_calls(self, model: str, example: Example, *, calls: int, runtime: Any = None) -> list[float]:
        """Return the seconds of each of so many calls of boto3's `invoke_endpoint`, of this server or a `runtime`'s."""
        body, seconds = example.rest(), []
        for _ in range(calls):
            started = time.perf_counter()
            self._invoke(model, body, runtime or self._runtime)
            seconds.append(time.perf_counter() - started)
        return seconds

    def probabilities(self, model: str, example: Example) -> list[float]:
        """Return what a model answers."""
        return json.loads(self._invoke(model, example.rest(), self._runtime))["predictions"][0]["probabilities"]

    def processes(self) -> list[psutil.Process]:
        """Return the server and all that it started."""
        server = psutil.Process(self._status.pid)
        return [server, *server.children(recursive=True)]

    def request(self, model: str, example: Example) -> bytes:
        """Return a whole HTTP request with the headers of boto3, signed now."""
        environment, path = self._status.environment, f"/endpoints/{ENDPOINT}/invocations"
        keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
        headers = {
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-Target-Model": f"{model}.tar.gz",
            "User-Agent": self._runtime.meta.config.user_agent,
            "Amz-SDK-Request": "attempt=1",
        }
        address = environment["AWS_ENDPOINT_URL"] + path
        request = AWSRequest("POST", address, headers=headers, data=example.rest())
        SigV4Auth(keys, "sagemaker", environment["AWS_REGION"]).add_auth(request)
        return http_request("POST", path, request.data, {"Host": f"{HOST}:{self.port}", **dict(request.headers)})

    def _invoke(self, model: str, body: bytes, runtime: Any) -> bytes:
        answer = runtime.invoke_endpoint(
            EndpointName=ENDPOINT, TargetModel=f"{model}.tar.gz", ContentType="application/json", Body=body
        )
        return answer["Body"].read()


class StaticAnswers(HttpServer):
    """A server that answers the same to every call."""

    name = "static answers"
    settings = "an asyncio protocol that answers canned bytes"

    def command(self) -> list[str]:
        """Run the small program."""
        return [sys.executable, str(PROGRAMS / "static_answers.py"), str(self.port)]
