def input_handler(data, context):
    return data.read()
