"""Turns CSV into TensorFlow Serving's request and its answer into text, as handlers for AWS's container do."""

import json


def input_handler(data, context):
    if context.request_content_type != "text/csv":
        raise ValueError(f"unsupported content type {context.request_content_type}")
    rows = [[float(value) for value in line.split(",")] for line in data.read().decode().splitlines()]
    return json.dumps({"instances": rows})


def output_handler(response, context):
    if response.status_code != 200:
        raise ValueError(response.content.decode("utf-8"))
    assert json.loads(response.text) == response.json()
    lines = [",".join(map(str, row)) for row in response.json()["predictions"]]
    return "\n".join(lines), "text/csv"
