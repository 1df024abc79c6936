"""Answers what native code under the filter of seccomp.py tries: refuses it, and keeps it to be told."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import ipaddress
import os
import platform
import select
import socket
import struct
import threading
from collections.abc import Callable

from .seccomp import CALLS

_PIDFD_GETFD = 438
_RECEIVE, _ANSWER, _STILL_THERE = 0xC0502100, 0xC0182101, 0x40082102
_CONTINUE = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_SERVICES_OF_LIBC = ("/nscd/socket", "/dev/log", "/systemd/userdb/", "/systemd/journal/")
"""Where libc asks for names of users, and writes logs: refused as well, as if they were not there, and no attempt to leave."""


def supervise(process_id: int, descriptor: int, on_try: Callable[[str], None]) -> None:
    """Serves the listener that a child process has under this descriptor, on a thread, until its last process ends.

    `on_try` is told before the code that tries goes on. Raises OSError when the listener cannot be had.
    """
    child = os.pidfd_open(process_id)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        listener: int = libc.syscall(_PIDFD_GETFD, child, descriptor, 0)
        if listener < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(child)
    threading.Thread(target=_serve, args=(listener, on_try), name="omium-network-off", daemon=True).start()


def _serve(listener: int, on_try: Callable[[str], None]) -> None:
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    try:
        while all(events & select.POLLIN for _, events in waiting.poll()):
            notice = bytearray(_NOTICE.size)
            try:
                fcntl.ioctl(listener, _RECEIVE, notice)
                error, allowed = _judge(listener, notice, on_try)
                fcntl.ioctl(listener, _ANSWER, struct.pack("=QqiI", _NOTICE.unpack(notice)[0], 0, -error, allowed))
            except OSError as gone:
                # who asked was killed meanwhile
                if gone.errno not in (errno.ENOENT, errno.EINTR):
                    raise
    finally:
        os.close(listener)


def _judge(listener: int, notice: bytearray, on_try: Callable[[str], None]) -> tuple[int, int]:
    """The error to answer with, or that the call goes on."""
    id, process_id, _, number, _, _, *arguments = _NOTICE.unpack(notice)
    calls = CALLS[platform.machine()]
    try:
        with open(f"/proc/{process_id}/mem", "rb", buffering=0) as memory:
            place, size = arguments[1], arguments[2]
            if number == calls.sendto:
                place, size = arguments[4], arguments[5]
            elif number != calls.connect:
                memory.seek(arguments[1])
                place, size = struct.unpack("PI", memory.read(struct.calcsize("PI")))
            if place == 0 and number == calls.sendmsg:
                # to whom the socket is connected, which is nobody outside
                return 0, _CONTINUE
            memory.seek(place)
            address = _text_of(memory.read(min(size, 128)))
    except (OSError, struct.error, ValueError, OverflowError):
        address = "somewhere"
    # the process may have ended, and another have got its number
    fcntl.ioctl(listener, _STILL_THERE, struct.pack("=Q", id))
    if any(service in address for service in _SERVICES_OF_LIBC):
        return errno.ENOENT, 0
    what = "a connection to" if number == calls.connect else "a datagram to"
    on_try(f"{what} {address} from {_program_of(process_id)}")
    return errno.ENETUNREACH, 0


def _program_of(process_id: int) -> str:
    try:
        with open(f"/proc/{process_id}/comm", encoding="utf-8", errors="replace") as name:
            return f"native code of {name.read().strip()}"
    except OSError:
        return "native code"


def _text_of(address: bytes) -> str:
    (family,) = struct.unpack_from("=H", address)
    if family == socket.AF_UNIX:
        return repr(address[2:].rstrip(b"\0").decode("utf-8", "replace"))
    if family == socket.AF_INET:
        return f"{ipaddress.ip_address(address[4:8])}:{int.from_bytes(address[2:4], 'big')}"
    if family == socket.AF_INET6:
        return f"[{ipaddress.ip_address(address[8:24])}]:{int.from_bytes(address[2:4], 'big')}"
    return f"an address of family {family}"
