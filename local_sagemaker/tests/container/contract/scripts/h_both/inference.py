def handler(data, context):
    return b"handler", "text/plain"


def input_handler(d, c):
    return d.read()


def output_handler(r, c):
    return b"output", "text/plain"
