"""Takes the network from native code and other programs: a filter of Linux's on the calls that reach out.

1. It binds this process from the inside, whoever runs it: no root, no namespaces. It can't be taken away, and goes over to
   every thread and program that is started from here.
2. Connections and datagrams to an address wait for the answer of a supervisor, another process, which refuses and tells
   them (supervisor.py). When there is none they fail.
3. Where there is no such filter (not Linux, another processor, a sandbox that forbids it) nothing is done, which is said.

See `man 2 seccomp` and `man 2 seccomp_unotify`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import NamedTuple

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_NEW_LISTENER = 8
_ALLOW, _NOTIFY, _ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000
# classic BPF: load a word of the call's data, compare, answer
_LOAD, _EQUAL, _AT_LEAST, _ANSWER = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ADDRESS_LOW, _ADDRESS_HIGH = 0, 4, 16 + 4 * 8, 16 + 4 * 8 + 4
_X32 = 0x40000000
"""Calls of x86-64 under other numbers; there are none so high elsewhere."""


class Calls(NamedTuple):
    """Numbers of system calls."""

    architecture: int
    seccomp: int
    connect: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    io_uring_setup: int


CALLS = {
    "x86_64": Calls(0xC000003E, 317, 42, 44, 46, 307, 425),
    "aarch64": Calls(0xC00000B7, 277, 203, 206, 211, 269, 425),
}
"""By what `platform.machine()` says."""


def refuse_native_network() -> int:
    """Installs the filter and gives the descriptor that a supervisor answers at. Called while there is one thread.

    Raises OSError where that is not possible.
    """
    calls = CALLS.get(platform.machine())
    if calls is None or sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"not on {sys.platform} ({platform.machine()})")
    libc = ctypes.CDLL(None, use_errno=True)
    program = _program(calls)
    text = ctypes.create_string_buffer(program)
    # struct sock_fprog: how many instructions, and where
    header = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(text)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _last_error()
    listener: int = libc.syscall(calls.seccomp, _SET_MODE_FILTER, _NEW_LISTENER, header)
    if listener < 0:
        raise _last_error()
    return listener


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


def _program(calls: Calls) -> bytes:
    def instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("HBBI", code, then, otherwise, value)

    def answer(what: int) -> bytes:
        return instruction(_ANSWER, what)

    def when(code: int, value: int, what: bytes) -> bytes:
        return instruction(code, value, 0, len(what) // 8) + what

    refuse = answer(_ERRNO | errno.ENOSYS)
    notify = answer(_NOTIFY)
    # a datagram without an address goes to whom the socket is connected, and it is connected to nobody outside
    datagram = (
        instruction(_LOAD, _ADDRESS_LOW)
        + instruction(_EQUAL, 0, 0, 2)
        + instruction(_LOAD, _ADDRESS_HIGH)
        + instruction(_EQUAL, 0, 1, 0)
        + notify
        + answer(_ALLOW)
    )
    return b"".join(
        [
            instruction(_LOAD, _ARCHITECTURE),
            instruction(_EQUAL, calls.architecture, 1, 0),
            refuse,
            instruction(_LOAD, _NUMBER),
            when(_AT_LEAST, _X32, refuse),
            # what is queued there passes no filter
            when(_EQUAL, calls.io_uring_setup, refuse),
            when(_EQUAL, calls.connect, notify),
            when(_EQUAL, calls.sendmsg, notify),
            when(_EQUAL, calls.sendmmsg, notify),
            when(_EQUAL, calls.sendto, datagram),
            answer(_ALLOW),
        ]
    )
