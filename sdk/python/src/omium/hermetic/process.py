"""Replays recorded runs, one after the other, in a process of their own that has no network."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from ..errors import OmiumError
from ..json import dumps
from .replay import RecordedRun, Verdict, tried
from .supervisor import supervise

_log = logging.getLogger("omium.replay")


def _watch(process_id: int, bound: dict[str, Any], on_try: Callable[[str], None]) -> None:
    try:
        if "unbound" in bound:
            raise OSError(bound["unbound"])
        supervise(process_id, bound["listener"], on_try)
    except OSError as why:
        refused = (
            "tries of native code to reach out are not seen" if "listener" in bound else "native code is not bound"
        )
        _log.warning("the network is off for Python, but %s: %s", refused, why)


def replay_runs(targets: Sequence[str], runs: Iterable[RecordedRun]) -> Iterator[Verdict]:
    """The verdicts, in order. `targets`: as `omium worker` takes them.

    Raises OmiumError of the code's own problem when it cannot be loaded, `worker_lost` when it ends its process.
    """
    # the order in which sets of texts are iterated must be the one of the workers
    environment = {**os.environ, "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0")}
    command = [sys.executable, "-m", "omium.hermetic.child", *targets]
    with subprocess.Popen(  # noqa: S603 - this very program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, encoding="utf-8"
    ) as child:
        stdin, stdout = cast("IO[str]", child.stdin), cast("IO[str]", child.stdout)

        def answer() -> dict[str, Any]:
            line = stdout.readline()
            if not line:
                code = child.wait()
                raise OmiumError("worker_lost", f"the process of the replay ended (exit code {code})")
            return cast("dict[str, Any]", json.loads(line))

        def say(line: str) -> None:
            stdin.write(f"{line}\n")
            stdin.flush()

        tries: list[str] = []
        try:
            _watch(child.pid, answer(), tries.append)
            say("")
            loaded = answer()
            if "error" in loaded:
                raise OmiumError.from_failure(loaded["error"])
            for run in runs:
                tries.clear()
                say(dumps(run))
                verdict = cast(Verdict, answer())
                yield tried(run["id"], tries[0]) if tries else verdict
        finally:
            # it may be gone already, which was said above
            with suppress(BrokenPipeError):
                stdin.close()
