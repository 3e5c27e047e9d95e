import requests


def handler(data, context):
    response = requests.get(context.rest_uri.rsplit(":", 1)[0])
    return f"{response.status_code} {response.text}", "text/plain"
