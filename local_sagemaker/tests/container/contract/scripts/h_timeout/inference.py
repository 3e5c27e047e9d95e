def handler(data, context):
    return str(context.timeout), "text/plain"
