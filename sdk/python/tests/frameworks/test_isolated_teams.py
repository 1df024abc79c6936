"""A team of each framework in a process for each attempt, as `omium worker` runs it by default, and kills of that process."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from scripted_model import ScriptedModel

import omium
from isolation_stage import Stage, alive, until

TEAMS = Path(__file__).parent / "teams"


@omium.agent()
async def team(given: Any, ctx: omium.Context) -> None:
    """Stands for the team here, where no framework is imported."""


@pytest.mark.parametrize("framework", ["langgraph", "crewai", "autogen", "semantic_kernel"])
def test_the_process_of_a_team_can_be_killed_after_every_record(tmp_path: Path, framework: str) -> None:
    model = ScriptedModel()
    environment = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "none", "TRIED_HOSTS": str(tmp_path / "tried")}
    stage = Stage(
        str(TEAMS / f"{framework}.yaml"), "--allow-tools", "isolated_tools", reassign=True, environment=environment
    )
    try:
        worker = stage.work()
        calm = str(stage.run("calm", team, {"topic": "tides"}).output(60))
        [inside] = re.findall(r"tides in process (\d+)", calm)
        assert int(inside) != worker.pid and "on Left of" in calm.replace("\nCurrent Task: ", "")
        until(lambda: not alive(int(inside)), "the process of the attempt ends")
        until(lambda: stage.logged("#1: looked around for tides"), "what it wrote is in the log")
        if framework == "crewai":
            shown = {one["path"] for one in stage.engine.messages if one["type"] == "delta"}
            assert {"task:plan", "task:write", "method:task_plan"} <= shown, "its event bus works there"
        records, calls = stage.recorded, sum(model.calls.values())
        assert (records, calls) == (6, 5)

        for kill_at in range(1, records + 1):
            stage.recorded, stage.kill_at = 0, kill_at
            stage.engine.messages.clear()
            model.calls.clear()
            killed = str(stage.run(f"killed-{kill_at}", team, {"topic": "tides"}).output(60))
            assert re.sub(r"process \d+", "", killed) == re.sub(r"process \d+", "", calm)
            completed = [one["path"] for one in stage.engine.messages if one["type"] == "step_completed"]
            assert len(completed) == len(set(completed)) == records
            assert any(one["type"] == "abandon" and "SIGKILL" in one["detail"] for one in stage.engine.messages)
            # what was on its way in the other branch is asked for again
            assert sum(model.calls.values()) <= calls + 1
            assert worker.poll() is None
        assert not (tmp_path / "tried").exists(), "nothing beyond this machine was looked for"
    finally:
        stage.close()
        model.close()


REMEMBERING = {name: omium.agent(id=name)(team.fn) for name in ("remembers", "Team", "plain")}


def test_teams_that_do_not_survive_a_fork_get_fresh_processes_and_others_are_forked(tmp_path: Path) -> None:
    model = ScriptedModel()
    environment = {
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "none",
        "TRIED_HOSTS": str(tmp_path / "tried"),
        "CREWAI_STORAGE_DIR": str(tmp_path / "crewai"),
        "PYTHONPATH": os.pathsep.join([str(TEAMS.parent), str(TEAMS.parents[1])]),
    }
    targets = [f"remembering:{name}" for name in REMEMBERING]
    stage = Stage(targets[0], *targets[1:], "--memory-limit", "3000", reassign=True, environment=environment)

    def results() -> list[dict[str, Any]]:
        return [dict(one) for one in stage.engine.messages if one["type"] == "step_completed"]

    def places(command: str) -> list[int]:
        return [int(pid) for pid in re.findall(rf"tides in process (\d+) of omium {command}", str(results()))]

    try:
        worker = stage.work()
        calm = str(stage.run("calm", REMEMBERING["remembers"]).output(120))
        assert "tides" in calm
        stored = {"memory search", "memory save", "memory: scripted-embedding", "knowledge search"}
        assert stored <= {one["name"] for one in results()}
        assert all(one["type"] != "abandon" for one in stage.engine.messages)
        inside = places("attempt")[0]
        assert inside != worker.pid
        until(lambda: not alive(inside), "the process of the attempt ends")

        records = stage.recorded
        stage.engine.messages.clear()
        stage.recorded, stage.kill_at = 0, records // 2
        assert str(stage.run("killed", REMEMBERING["remembers"]).output(120))
        lost = [one["detail"] for one in stage.engine.messages if one["type"] == "abandon"]
        # the process that is kept ready is killed as well, and may be given to the next attempt before that is noticed
        assert lost and all("SIGKILL" in one for one in lost), lost
        completed = [one["path"] for one in results()]
        assert len(completed) == len(set(completed)), "what was recorded is answered from the journal"

        # a flow opens its memory itself, where LanceDB was opened before
        stage.engine.messages.clear()
        stage.kill_at = None
        assert "tides" in str(stage.run("flow", REMEMBERING["Team"]).output(120))
        assert places("attempt") and all(one["type"] != "abandon" for one in stage.engine.messages)
        assert worker.poll() is None

        stage.engine.messages.clear()
        finished = [stage.run(f"plain-{index}", REMEMBERING["plain"]) for index in range(8)]
        assert all("tides" in str(one.output(60)) for one in finished)
        assert all(one["type"] != "abandon" for one in stage.engine.messages)
        forks = places("worker")
        assert len(set(forks)) == 8 and worker.pid not in forks, "a team that can be forked is"
    finally:
        stage.close()
        model.close()


def test_what_can_be_forked_is_beside_native_threads_of_lancedb() -> None:
    paths = os.pathsep.join([str(TEAMS.parent), str(TEAMS.parents[1])])
    stage = Stage("beside_lancedb", "--isolation", "process", environment={"PYTHONPATH": paths})
    plain = omium.agent(id="plain")(team.fn)
    try:
        worker = stage.work()
        told: list[Any] = [stage.run(f"plain-{index}", plain).output(60) for index in range(6)]
        assert all(threads > 1 and parent != worker.pid for threads, _, parent in told)
        assert len({attempt for _, attempt, _ in told}) == 6
        assert len({parent for _, _, parent in told}) == 1, "all are forked from one process"
        assert all(one["type"] != "abandon" for one in stage.engine.messages)
    finally:
        stage.close()
