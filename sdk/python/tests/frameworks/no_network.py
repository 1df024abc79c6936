"""A fixture that forbids every connection that leaves the machine, and keeps a list of those that were tried."""

import socket
from typing import Any

import pytest

_LOCAL = ("127.0.0.1", "::1", "localhost")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hosts that somebody tried to reach, look up or write to; each try failed."""
    tried: list[str] = []

    def refuse(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in _LOCAL:
            return
        tried.append(str(name))
        raise OSError(f"the network is forbidden: {name}")

    def guard(method: Any) -> Any:
        def guarded(self: socket.socket, address: Any, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse(address[0])
            return method(self, address, *args)

        return guarded

    getaddrinfo = socket.getaddrinfo

    def guarded_getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        refuse(host)
        return getaddrinfo(host, *args, **options)

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guard(getattr(socket.socket, name)))
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    return tried
