"""Worker processes that isolate their runs, before a scripted engine."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omium.agent import AnyAgent
from omium.protocol import WorkerMessage
from scripted_engine import KEY, Finished, ScriptedEngine

SECRET = "very-secret-value-of-a-key"


def until(check: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Stage:
    """An engine, and worker processes of `target`.

    `reassign`: an attempt that is given up is followed by another; else the run ends there.
    """

    def __init__(
        self,
        target: str = "isolation_agents",
        *options: str,
        reassign: bool = False,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "omium"),
    ) -> None:
        self.engine = ScriptedEngine(tap=self._see, reassign=reassign)
        self.kill_at: int | None = None
        """after so many recorded results the process of the attempt is killed"""
        self.recorded = 0
        self._command = [*program, "worker", target, *(options or ("--isolation", "process"))]
        self._environment = environment or {}
        self.workers: list[subprocess.Popen[str]] = []
        self.log: list[str] = []
        self.hello: dict[str, Any] = {}
        self._ids: dict[str, str] = {}

    def work(self, *options: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "OMIUM_URL": self.engine.url,
            "OMIUM_API_KEY": KEY,
            "SOME_API_KEY": SECRET,
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTHONHASHSEED": "0",
            **self._environment,
        }
        others = list(self.engine.sockets)
        worker = subprocess.Popen([*self._command, *options], env=environment, stderr=subprocess.PIPE, text=True)
        self.workers.append(worker)
        threading.Thread(target=self._read, args=(worker,), daemon=True).start()
        until(lambda: any(one not in others for one in list(self.engine.sockets)), "the worker connects", 120)
        self.hello = next(message for message in self.engine.messages if message["type"] == "hello")
        return worker

    def _see(self, message: WorkerMessage) -> None:
        if message["type"] != "step_completed":
            return
        self.recorded += 1
        if self.recorded == self.kill_at:
            # before the process hears that it was recorded
            for pid in self.attempts():
                os.kill(pid, signal.SIGKILL)

    def attempts(self) -> list[int]:
        """Processes of attempts: the children of the one that the worker forks them from."""
        return [pid for worker in self.workers for zygote in children_of(worker.pid) for pid in children_of(zygote)]

    def _read(self, worker: "subprocess.Popen[str]") -> None:
        assert worker.stderr is not None
        for line in worker.stderr:
            self.log.append(line.rstrip())

    def logged(self, text: str) -> bool:
        return any(text in line for line in list(self.log))

    def run(self, execution_id: str, agent: AnyAgent, given: Any = None) -> Finished:
        """Requests a run; the stage makes its id its own."""
        self._ids[execution_id] = f"{execution_id}-{len(self.engine.messages)}-{time.monotonic_ns()}"
        return self.engine.run(self._ids[execution_id], agent, given)

    def signal(self, execution_id: str, name: str, value: Any) -> None:
        self.engine.signal(self._ids[execution_id], name, value)

    def stop(self, execution_id: str, reason: str) -> None:
        """What an engine says when a run was cancelled, paused, timed out or fenced."""
        message = {"type": "stop", "executionId": self._ids[execution_id], "attempt": 1, "reason": reason}
        self.engine.send(self.engine.sockets[0], message)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.engine.close()
