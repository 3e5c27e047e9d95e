"""Posts the request to TensorFlow Serving unchanged, and tells what a handler is told."""

import json

import requests


def handler(data, context):
    response = requests.post(context.rest_uri, data=data.read())
    answer = {"status": response.status_code, "answer": response.json(), "context": context._asdict()}
    return json.dumps(answer), context.accept_header
