import json


def handler(data, context):
    names = ("read", "readline", "readlines", "seek", "tell", "getvalue", "readable", "seekable")
    told = {name: hasattr(data, name) for name in names}
    told["type"] = type(data).__name__
    told["read5"], told["line"] = data.read(5).decode(), data.readline().decode()
    told["rest"], told["again"] = data.read().decode(), data.read().decode()
    return json.dumps(told), "application/json"
