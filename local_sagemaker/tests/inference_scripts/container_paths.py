"""Reads a file of its model by the path that it has in AWS's container."""

from pathlib import Path

import paths


def handler(data, context):
    by_module = Path(paths.FOLDER, context.model_name, "model", "labels.txt").read_text()
    return f"{by_module} {Path(f'/opt/ml/models/{context.model_name}/model/labels.txt').read_text()}", "text/plain"
