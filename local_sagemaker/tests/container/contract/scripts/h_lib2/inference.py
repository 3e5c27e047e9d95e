import mylib


def handler(d, c):
    return mylib.V, "text/plain"
