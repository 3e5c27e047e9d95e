def input_handler(data, context):
    return data.read().decode("utf-8")


def output_handler(response, context):
    if response.status_code != 200:
        raise ValueError(f"output_handler saw {response.status_code} {response.content.decode()}")
    return response.content, context.accept_header
