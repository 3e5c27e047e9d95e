import sibling


def handler(d, c):
    return sibling.V, "text/plain"
