import json


def input_handler(data, context):
    body = json.loads(data.read().decode("utf-8"))
    body["instances"] = [9.0, *body.get("instances", [])]
    return json.dumps(body)


def output_handler(response, context):
    body = json.loads(response.content.decode("utf-8"))
    body["_handler_marker"] = "input_output_ok"
    body["_status"] = response.status_code
    return json.dumps(body), context.accept_header
