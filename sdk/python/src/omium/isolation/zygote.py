"""The process that attempts are forked from.

1. It has one thread and never runs code of a run, so its forks begin in a sound state.
2. It alone reaps attempts, so that a process id it kills by is never another's.
3. It lives as long as the worker's end of its socket is open, and attempts as long as it: nothing is orphaned, even when the
   worker gets SIGKILL.
4. Attempts of agents that do not survive a fork it starts as fresh interpreters: a program of its own, with a process id,
   a session, limits and an end like those that are forked.
5. When an attempt ends, the rest of its process group is killed, and on Linux whatever else descends from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .wire import ENDED, FORK, FRESH, KILL, REFUSED, REPORT, REQUEST, STARTED

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

Begin = Callable[[socket.socket, int], NoReturn]
"""Runs an attempt in this process: its socket, and the descriptor that takes its output."""


_MARK = "OMIUM_ATTEMPT_PROCESS"
"""A variable that programs which an attempt starts inherit: whose they are when their parent is gone."""
_LAST_KILLS_S = 2.0


_BY_DEFAULT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What stops programs stops attempts, not the zygote: its end is that of the worker."""


def serve(control: socket.socket, begin: Begin, fresh: Sequence[str]) -> NoReturn:
    """Serves the worker until it goes. To be called in a process just forked from the worker's main thread.

    `fresh`: the command that runs one attempt in a new interpreter; it is told its `--channel` and its `--parent`.
    """
    try:
        os.setsid()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        for one in _BY_DEFAULT:
            signal.signal(one, signal.SIG_IGN)
        _Zygote(control, begin, fresh).serve()
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def become_attempt(parent_pid: int) -> None:
    """To be called first in the process of an attempt, however it was made."""
    for one in (*_BY_DEFAULT, signal.SIGCHLD):
        signal.signal(one, signal.SIG_DFL)
    _end_with_parent(parent_pid)
    os.environ[_MARK] = str(os.getpid())


def _end_with_parent(parent_pid: int) -> None:
    """On Linux the kernel ends this process when its parent dies, even while it hangs; elsewhere its socket tells it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class _Zygote:
    def __init__(self, control: socket.socket, begin: Begin, fresh: Sequence[str]) -> None:
        self._control = control
        self._begin = begin
        self._fresh = fresh
        self._pids: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        # a signal only has to wake the select below
        self._wakeup, wakes = socket.socketpair()
        self._wakeup.setblocking(False)
        wakes.setblocking(False)
        self._wakes = wakes
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        try:
            while True:
                readable, _, _ = select.select([self._control, self._wakeup], [], [])
                if self._wakeup in readable:
                    with contextlib.suppress(BlockingIOError):
                        self._wakeup.recv(4096)
                    self._reap()
                if self._control in readable and not self._answer():
                    return
        finally:
            self._kill_all()

    def _answer(self) -> bool:
        record, descriptors, _, _ = socket.recv_fds(self._control, REQUEST.size, 2)
        while 0 < len(record) < REQUEST.size:
            rest = self._control.recv(REQUEST.size - len(record))
            if not rest:
                return False
            record += rest
        if not record:
            return False
        kind, number = REQUEST.unpack(record)
        if kind == FORK:
            self._fork(number, *descriptors)
        elif kind == FRESH:
            self._spawn(number, *descriptors)
        elif kind == KILL and number in self._pids:
            _kill_tree(self._pids[number])
        return True

    def _fork(self, number: int, protocol: int, output: int) -> None:
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._report(REFUSED, number, 0, error.errno or 0)
            pid = -1
        if pid == 0:
            signal.set_wakeup_fd(-1)
            try:
                self._control.close()
                self._wakeup.close()
                self._wakes.close()
                os.setsid()
                become_attempt(zygote)
                self._begin(socket.socket(fileno=protocol), output)
            except BaseException:
                traceback.print_exc()
            os._exit(70)
        os.close(protocol)
        os.close(output)
        if pid > 0:
            self._started(number, pid)

    def _spawn(self, number: int, protocol: int, output: int) -> None:
        """Nothing of this process runs in the new one, not even the hooks that libraries have for forks."""
        try:
            process = subprocess.Popen(  # noqa: S603 - this very program
                [*self._fresh, f"--channel={protocol}", f"--parent={os.getpid()}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(protocol,),
                start_new_session=True,
            )
        except OSError as error:
            self._report(REFUSED, number, 0, error.errno or 0)
        else:
            # it is reaped here with all others
            process.returncode = 0
            self._started(number, process.pid)
        finally:
            os.close(protocol)
            os.close(output)

    def _started(self, number: int, pid: int) -> None:
        self._pids[number] = pid
        self._numbers[pid] = number
        self._report(STARTED, number, pid, 0)

    def _reap(self) -> None:
        while (ended := _next_ended()) is not None:
            pid, status = ended
            number = self._numbers.pop(pid, None)
            if number is not None:
                # the rest of its group, which keeps the number from being given to another process
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                for orphan in _children_of(os.getpid()):
                    if orphan not in self._numbers and _mark_of(orphan) == pid:
                        _kill_tree(orphan)
                del self._pids[number]
                self._report(ENDED, number, pid, os.waitstatus_to_exitcode(status))

    def _kill_all(self) -> None:
        """What dies leaves its children to this process, so it takes more than one look."""
        deadline = time.monotonic() + _LAST_KILLS_S
        while time.monotonic() < deadline:
            for pid in {*self._numbers, *_children_of(os.getpid())}:
                _kill_tree(pid)
            try:
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            except ChildProcessError:
                return
            time.sleep(0.01)

    def _report(self, kind: bytes, number: int, pid: int, status: int) -> None:
        # a worker that is gone is noticed by the next read
        with contextlib.suppress(OSError):
            self._control.sendall(REPORT.pack(kind, number, pid, status))


def _nothing(_: int, __: object) -> None: ...


def _next_ended() -> tuple[int, int] | None:
    """A child that has ended, and its status; reaped."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid != 0 else None


def _children_of(pid: int) -> list[int]:
    """On Linux; elsewhere a process group is all that is known of descendants."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def _mark_of(pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == _MARK.encode():
                return int(value)
    return None


def _kill_tree(pid: int) -> None:
    descendants: list[int] = []
    following = [pid]
    while following:
        children = _children_of(following.pop())
        descendants.extend(children)
        following.extend(children)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for one in (pid, *descendants):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)
