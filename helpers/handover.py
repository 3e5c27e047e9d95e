"""What the notebooks hand over to each other in S3: data sets, pretrained weights, and what models were made from.

What an earlier notebook has not made yet is a `MissingInputError` that names the notebook.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from helpers import datasets, endpoint, s3
from helpers.aws import artifacts
from helpers.aws.connection import Connection
from helpers.datasets import Dataset
from helpers.sources import weights

_FIRST_NOTEBOOK = "01_prepare_data"


def put_dataset(connection: Connection, dataset: Dataset, *, slug: str | None = None) -> str:
    """Upload a data set to where training jobs and later notebooks find it; return the S3 URI.

    The name of the place is that of the data set, or `slug`.
    """
    with tempfile.TemporaryDirectory() as folder:
        datasets.save(dataset, folder)
        return s3.upload(connection, Path(folder), connection.dataset_uri(slug or dataset.name))


def get_dataset(connection: Connection, slug: str) -> Dataset:
    """Download a data set."""
    uri = require_dataset(connection, slug)
    with tempfile.TemporaryDirectory() as folder:
        for name in s3.list_names(connection, uri):
            s3.download(connection, uri + name, Path(folder) / name)
        return datasets.read(folder)


def get_dataset_record(connection: Connection, slug: str) -> dict[str, Any]:
    """Return what a data set says of itself: source, class names, counts, fingerprint."""
    return dict(json.loads(s3.read(connection, require_dataset(connection, slug) + datasets.RECORD)))


def require_dataset(connection: Connection, slug: str) -> str:
    """Return the S3 URI of a data set, for use as a channel of a training job."""
    uri = connection.dataset_uri(slug)
    s3.require(connection, uri + datasets.RECORD, what="data set", notebook=_FIRST_NOTEBOOK)
    return uri


def put_weights(connection: Connection, source: str | Path = "auto") -> weights.WeightsRecord:
    """Obtain the pretrained VGG16 base, upload it, and return which weights these are; the source is as there."""
    with tempfile.TemporaryDirectory() as folder:
        record = weights.obtain(source, folder)
        s3.upload(connection, Path(folder), connection.weights_uri)
    return record


def require_weights(connection: Connection) -> str:
    """Return the S3 URI of the pretrained base, for use as a channel of a training job."""
    uri = connection.weights_uri
    s3.require(connection, uri + weights.RECORD, what="pretrained weights", notebook=_FIRST_NOTEBOOK)
    return uri


def get_model_source(connection: Connection, slug: str, *, notebook: str) -> str:
    """Return sentences that say which data and which weights a published model comes from, for figures.

    Raises:
        ArtifactError: If its archive does not say.
    """
    archive = s3.read(connection, endpoint.require_model(connection, slug, notebook=notebook))
    return artifacts.describe(artifacts.read_card(archive)["provenance"])
