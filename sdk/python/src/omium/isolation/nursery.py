"""The worker's side of the zygote: has attempts forked, started and killed, and hears how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from .wire import ENDED, FORK, FRESH, KILL, REFUSED, REPORT, REQUEST, STARTED
from .zygote import Begin, serve


class Nursling(Protocol):
    """Whoever had a process made. Called on the loop."""

    def started(self, pid: int) -> None: ...
    def ended(self, how: str) -> None:
        """`exit code 3`, `signal SIGSEGV`"""
        ...


Process: TypeAlias = tuple[int, socket.socket, int]
"""The number of an attempt's process, our end of its socket, and the descriptor its output is read from."""


class Nursery:
    """Forks the zygote when it is made: in the main thread, before the worker has other threads.

    `fresh`: the command that runs an attempt in a new interpreter; empty where all agents are forkable. One that has imported
    the agents already is kept ready.
    Everything else is called on the loop that `attach` was given.
    """

    def __init__(self, begin: Begin, log: logging.Logger, fresh: Sequence[str] = ()) -> None:
        _warn_of_threads(log)
        ours, theirs = socket.socketpair()
        # what is shared stays shared: the collector would write to every object
        gc.collect()
        gc.freeze()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            serve(theirs, begin, fresh)
        theirs.close()
        self._control = ours
        self._nurslings: dict[int, Nursling] = {}
        self._has_fresh = bool(fresh)
        self._spare: _Spare | None = None
        self._count = 0
        self._received = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._died: Callable[[], None] = lambda: None
        self.alive = True

    def attach(self, loop: asyncio.AbstractEventLoop, died: Callable[[], None]) -> None:
        """Hears reports on this loop. `died`: the zygote is gone although nobody had asked."""
        self._loop = loop
        self._died = died
        loop.add_reader(self._control, self._read)
        self._keep_spare()

    def fork(self, nursling: Nursling) -> Process:
        """Has an attempt forked."""
        return self._make(FORK, nursling)

    def spawn(self, nursling: Nursling) -> Process:
        """Gives an attempt a fresh interpreter: the one that is ready, or one that has yet to import the agents."""
        spare, self._spare = self._spare, None
        if spare is None or spare.ended_already:
            process = self._make(FRESH, nursling)
        else:
            process = spare.process
            self._nurslings[process[0]] = nursling
            if spare.pid is not None:
                nursling.started(spare.pid)
        self._keep_spare()
        return process

    def _keep_spare(self) -> None:
        # not when one has ended: what can't be imported would be tried again and again
        if self._has_fresh and self.alive:
            self._spare = spare = _Spare()
            spare.process = self._make(FRESH, spare)

    def _make(self, kind: bytes, nursling: Nursling) -> Process:
        ours, theirs = socket.socketpair()
        output, writes = os.pipe()
        self._count += 1
        self._nurslings[self._count] = nursling
        try:
            self._request(kind, self._count, [theirs.fileno(), writes])
        finally:
            theirs.close()
            os.close(writes)
        return self._count, ours, output

    def kill(self, number: int) -> None:
        """SIGKILL to the attempt and all that descends from it; nothing when it has ended."""
        if number in self._nurslings:
            self._request(KILL, number, [])

    def close(self) -> None:
        """Ends the zygote, and with it every attempt."""
        if self._loop is not None and self.alive:
            self._loop.remove_reader(self._control)
        self._control.close()
        if self.alive:
            self.alive = False
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    def _request(self, kind: bytes, number: int, descriptors: list[int]) -> None:
        # a zygote that is gone is told of by the reader
        with contextlib.suppress(OSError):
            socket.send_fds(self._control, [REQUEST.pack(kind, number)], descriptors)

    def _read(self) -> None:
        try:
            received = self._control.recv(64 * 1024)
        except OSError:
            received = b""
        if not received:
            self._gone()
            return
        self._received += received
        while len(self._received) >= REPORT.size:
            kind, number, pid, status = REPORT.unpack(self._received[: REPORT.size])
            self._received = self._received[REPORT.size :]
            if kind == STARTED:
                self._nurslings[number].started(pid)
            elif kind == ENDED:
                self._nurslings.pop(number).ended(how_it_ended(status))
            elif kind == REFUSED:
                self._nurslings.pop(number).ended(f"no process could be made: {errno.errorcode.get(status, status)}")

    def _gone(self) -> None:
        self.alive = False
        if self._loop is not None:
            self._loop.remove_reader(self._control)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        nurslings, self._nurslings = self._nurslings, {}
        for one in nurslings.values():
            one.ended("the process that had made it died")
        self._died()


class _Spare:
    """A fresh process before there is a run for it."""

    process: Process

    def __init__(self) -> None:
        self.pid: int | None = None
        self.ended_already = False

    def started(self, pid: int) -> None:
        self.pid = pid

    def ended(self, how: str) -> None:
        self.ended_already = True
        _, channel, output = self.process
        channel.close()
        os.close(output)


def how_it_ended(status: int) -> str:
    """From `os.waitstatus_to_exitcode`: `exit code 3`, `signal SIGSEGV`."""
    if status >= 0:
        return f"exit code {status}"
    import signal

    try:
        name = signal.Signals(-status).name
        return f"signal {name}, which the kernel sends when memory runs out" if name == "SIGKILL" else f"signal {name}"
    except ValueError:
        return f"signal {-status}"


_STARTED_ANEW = ("LanceDBBackgroundEventLoop",)
"""Threads of libraries that start them anew after a fork."""


def _warn_of_threads(log: logging.Logger) -> None:
    # native libraries that have threads of their own (BLAS) see to forks themselves
    harmless = (threading.main_thread().name, *_STARTED_ANEW)
    names = [thread.name for thread in threading.enumerate() if thread.name not in harmless]
    if names:
        log.warning(
            "importing the agents started %d thread(s) (%s): they do not exist in the processes of runs, and a lock that one "
            "of them holds now would stay held there; start them on first use instead",
            len(names),
            ", ".join(names),
        )
