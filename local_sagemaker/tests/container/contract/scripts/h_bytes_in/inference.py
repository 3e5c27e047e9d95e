def input_handler(data, context):
    return data


def output_handler(response, context):
    return response.content, "application/json"
