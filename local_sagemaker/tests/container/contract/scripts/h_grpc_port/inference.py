def handler(data, context):
    return str(int(context.grpc_port) > 0), "text/plain"
