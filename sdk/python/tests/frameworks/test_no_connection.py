"""A whole `omium worker` with every framework in it: nothing but the machine itself is ever reached for."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_model import ScriptedModel

import omium
from omium.agent import AnyAgent
from scripted_engine import KEY, ScriptedEngine

HERE = Path(__file__).parent
AGENTS: dict[str, Any] = {
    "graph": {"text": "hello"},
    "crew": {"topic": "tides"},
    "team": "hello",
    "kernel_agent": "hello",
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    one = ScriptedEngine()
    yield one
    one.close()


def _known_as(agent_id: str) -> AnyAgent:
    """What the engine knows of an agent; its code runs in the worker."""

    @omium.agent(id=agent_id)
    async def elsewhere(given: Any, ctx: omium.Context) -> None: ...

    return elsewhere


def test_a_worker_with_all_frameworks_reaches_for_nothing_outside(
    model: ScriptedModel, engine: ScriptedEngine, tmp_path: Path
) -> None:
    tried = tmp_path / "tried"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OMIUM_URL": engine.url,
        "OMIUM_API_KEY": KEY,
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "none",
        "PYTHONPATH": os.pathsep.join([str(HERE / "watched"), str(HERE)]),
        "PYTHONHASHSEED": "0",
        "CONNECTIONS": str(tried),
    }
    targets = [f"everything:{name}" for name in AGENTS]
    command = [sys.executable, "-m", "omium", "worker", *targets, "--isolation", "process"]
    log: list[str] = []
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        reading = threading.Thread(target=lambda lines: log.extend(lines), args=(worker.stderr,), daemon=True)
        reading.start()
        try:
            deadline = time.monotonic() + 120
            while not engine.sockets:
                assert worker.poll() is None, log
                assert time.monotonic() < deadline, log
                time.sleep(0.05)
            runs = [engine.run(f"{name}-run", _known_as(name), given) for name, given in AGENTS.items()]
            for run in runs:
                assert run.output(60)
            # what they did is stored besides: the messages for it come from processes as well
            kept = {name: f"{name}-run" for name in AGENTS}
            while not all(any(state["thread"] == thread for state in engine.states) for thread in kept.values()):
                assert time.monotonic() < deadline, engine.states
                time.sleep(0.05)
        finally:
            # telemetry that would only be sent at the end is sent now
            worker.terminate()
            worker.wait(60)
    places = {line.split()[1] for line in tried.read_text().splitlines()}
    assert places, "the worker and its model were reached, which has been noticed"
    assert places <= set(LOOPBACK), places
