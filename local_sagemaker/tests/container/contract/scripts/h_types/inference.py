def handler(data, context):
    answers = {
        "str": ("text \u00e9", "text/plain"),
        "bytes": (b"\x00\xff", "application/octet-stream"),
        "none_type": ("x", None),
        "none_body": (None, "text/plain"),
        "bytearray": (bytearray(b"ba"), "text/plain"),
        "one": b"only",
        "three": (b"a", "text/plain", 3),
        "empty": (b"", "text/plain"),
        "utf8_type": (b"a", "text/pl\u00e4in"),
    }
    return answers[data.read().decode()]
