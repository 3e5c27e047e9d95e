import requests


def handler(data, context):
    response = requests.post(context.rest_uri.replace("h_other", "hp2"), data=data.read())
    return f"{response.status_code} {response.text}", "text/plain"
