import requests


def handler(data, context):
    r = requests.post(context.rest_uri, data=data.read())
    return r.content, r.headers["Content-Type"]
