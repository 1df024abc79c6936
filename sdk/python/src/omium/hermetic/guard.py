"""Switches the network off for the Python code of this process, for the rest of its life.

1. By an audit hook, which sits below every library and cannot be taken away: connections, datagrams, look-ups of names.
2. No other program can be started. What native code does is the affair of seccomp.py.
3. Each try is told, so that code which swallows the error is found all the same.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from ..errors import OmiumError

_FORBIDDEN = {
    "socket.connect": "a connection to",
    "socket.sendto": "a datagram to",
    "socket.sendmsg": "a message to",
    "socket.getaddrinfo": "a look-up of",
    "socket.gethostbyname": "a look-up of",
    "socket.gethostbyaddr": "a look-up of",
    "socket.getnameinfo": "a look-up of",
    "subprocess.Popen": "the start of",
    "os.system": "the start of",
    "os.exec": "the start of",
    "os.posix_spawn": "the start of",
    "os.spawn": "the start of",
    "os.fork": "a fork",
    "os.forkpty": "a fork",
}

_TRACKER = "from multiprocessing.resource_tracker import"


def switch_network_off(on_try: Callable[[str], None]) -> None:
    """From now on each try raises OmiumError `replay_miss` in the code that makes it."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        what = _FORBIDDEN.get(event)
        if what is None:
            return
        # the sockets among them say nothing about where to
        places = [repr(argument) for argument in arguments if not repr(argument).startswith("<")]
        tried = f"{what} {', '.join(places[:2])}".strip()
        on_try(tried)
        raise OmiumError("replay_miss", f"{tried}: the network is off in a hermetic replay")

    # the processes of multiprocessing start below what is audited
    try:
        starts = importlib.import_module("_posixsubprocess")
    except ImportError:  # not on this system
        pass
    else:
        fork_exec = starts.__dict__["fork_exec"]

        def start(arguments: Sequence[object], *rest: object) -> object:
            # the interpreter's own cleaner of semaphores, which locks start on some systems, runs none of the code
            if any(_TRACKER in str(argument) for argument in arguments):
                return fork_exec(arguments, *rest)
            hook("subprocess.Popen", (arguments,))
            return None

        starts.__dict__["fork_exec"] = start
    sys.addaudithook(hook)
