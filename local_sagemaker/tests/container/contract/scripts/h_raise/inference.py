def handler(data, context):
    raise ValueError("x")
