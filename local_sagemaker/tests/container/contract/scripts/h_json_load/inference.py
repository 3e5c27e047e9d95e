import json


def handler(data, context):
    return json.dumps(json.load(data)), "application/json"
