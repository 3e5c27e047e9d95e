def handler(data, context):
    return str(context.grpc_uri), "text/plain"
