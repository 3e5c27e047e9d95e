import no_such_module_xyz  # noqa: F401


def handler(data, context):
    return data.read(), "text/plain"
