def input_handler(data, context):
    return {"instances": "1"}


def output_handler(response, context):
    return response.content, "application/json"
