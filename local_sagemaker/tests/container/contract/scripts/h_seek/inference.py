def handler(data, context):
    data.read()
    data.seek(0)
    return data.read(), "text/plain"
