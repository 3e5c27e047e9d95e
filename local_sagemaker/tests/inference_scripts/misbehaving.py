"""Does what the request asks for."""

import os
import signal
import sys
import time


def handler(data, context):
    action = data.read().decode()
    if action == "exit":
        sys.exit("bye")
    if action == "end":
        os._exit(3)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "hang":
        time.sleep(3600)
    if action == "print":
        print("printed\n" * 10_000, file=sys.stderr)
    if action == "close":
        os.closerange(0, 64)
    if action == "answer a number":
        return 5, "text/plain"
    if action == "inject":
        return "text", "text/plain\r\nX-Evil: 1"
    return action.encode(), None
