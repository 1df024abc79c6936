"""A tool that tells in which process it is called; importing it notes every host beyond this machine that is looked for."""

# ruff: noqa: T201 - what is written to standard output is what is tested

import os
import socket
from pathlib import Path
from typing import Any

_LOCAL = (None, "127.0.0.1", "::1", "localhost")


def _noting(original: Any, host_of: Any) -> Any:
    def noted(*args: Any, **options: Any) -> Any:
        host = host_of(*args)
        if host not in _LOCAL:
            with Path(os.environ["TRIED_HOSTS"]).open("a") as tried:
                tried.write(f"{host}\n")
            raise OSError(f"the network is forbidden: {host}")
        return original(*args, **options)

    return noted


def _host_looked_up(host: Any, *_: Any) -> Any:
    return host


def _host_of(_: socket.socket, address: Any) -> Any:
    return None if isinstance(address, (str, bytes)) else address[0]


_patched: Any = socket
_patched.getaddrinfo = _noting(socket.getaddrinfo, _host_looked_up)
_patched.socket.connect = _noting(socket.socket.connect, _host_of)


def look_around(word: str) -> str:
    """Tells where it is."""
    print(f"looked around for {word}")
    return f"{word} in process {os.getpid()}"
