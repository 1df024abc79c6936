"""The process in which recorded runs meet today's code: a run a line on standard input, a verdict a line on standard output.

First it says what binds its native code, and waits for a line until that is watched.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, cast

from ..errors import OmiumError
from ..json import dumps
from .guard import switch_network_off
from .seccomp import refuse_native_network

if TYPE_CHECKING:
    from .replay import RecordedRun, Verdict


def main() -> None:
    """Serves until standard input ends."""
    tries: list[str] = []
    # whatever the code prints is for people
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: object) -> None:
        answers.write(f"{dumps(message)}\n")
        answers.flush()

    # before anything starts a thread, which would not be bound
    try:
        say({"listener": refuse_native_network()})
    except OSError as error:
        say({"unbound": str(error)})
    sys.stdin.readline()

    from ..adapters import forbid_telemetry
    from ..cli import load_agents
    from .replay import replay_recorded, tried

    forbid_telemetry()
    # before the code is imported: what it does then is bound by it as well
    switch_network_off(tries.append)
    sys.path.insert(0, os.getcwd())
    try:
        agents = {agent.id: agent for agent in load_agents(sys.argv[1:])}
    except OmiumError as error:
        say({"error": error.to_failure()})
        return
    say({})
    for line in sys.stdin:
        run = cast("RecordedRun", json.loads(line))
        agent = agents.get(run["agent"])
        verdict: Verdict
        if agent is None:
            known = ", ".join(agents)
            detail = f'the code has no agent "{run["agent"]}"; it has: {known}'
            verdict = {"id": run["id"], "verdict": "error", "detail": detail}
        else:
            tries.clear()
            verdict = replay_recorded(agent, run)
            if tries:
                verdict = tried(run["id"], tries[0])
        say(verdict)


if __name__ == "__main__":
    main()
    # agent code may leave threads behind; nothing of it outlives the replay
    sys.stderr.flush()
    os._exit(0)
