def handler(data, context):
    return b"|".join(list(data)), "text/plain"
