"""Replays recorded runs, one after the other, in a process of their own that has no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from ..errors import OmiumError
from ..json import dumps
from .replay import RecordedRun, Verdict


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

        try:
            loaded = answer()
            if "error" in loaded:
                raise OmiumError.from_failure(loaded["error"])
            for run in runs:
                stdin.write(f"{dumps(run)}\n")
                stdin.flush()
                yield cast(Verdict, answer())
        finally:
            # it may be gone already, which was said above
            with suppress(BrokenPipeError):
                stdin.close()
