"""A process for each attempt, on a real worker: what goes wrong in one takes only that attempt down."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import isolation_agents as agents
import omium
import unforkable_agents
from isolation_stage import SECRET, Stage, alive, until
from scripted_engine import KEY


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    one = Stage()
    one.work()
    yield one
    one.close()


@pytest.fixture
def calm(shared: Stage) -> Stage:
    """A stage whose worker has run before, and goes on."""
    shared.engine.messages.clear()
    shared.log.clear()
    return shared


def written(path: Path) -> list[int]:
    return [int(pid) for pid in until(lambda: path.exists() and path.read_text(), f"{path} is written").split()]


def test_each_attempt_has_a_process_that_ends_with_it(calm: Stage) -> None:
    runs: list[Any] = [calm.run(f"run-{n}", agents.where).output() for n in range(5)]
    pids = {run["pid"] for run in runs}
    assert len(pids) == 5 and calm.workers[0].pid not in pids
    assert all(run["pid"] == run["inside"] and run["attempt"] == 1 for run in runs)
    until(lambda: not any(map(alive, pids)), "the processes end")


def test_what_a_run_writes_is_logged_and_never_a_message(calm: Stage) -> None:
    assert calm.run("run", agents.prints).output() == "done"
    for said in ('[{"type":"complete"}]', "said in a step", "written to the descriptor"):
        until(lambda said=said: calm.logged(f"#1: {said}"), "the output is in the log")


def test_a_process_that_exits_is_explained_without_secrets_and_others_go_on(calm: Stage) -> None:
    other = calm.run("other", agents.waits)
    error = calm.run("run", agents.exits).error()
    assert error["code"] == "worker_lost"
    assert "exit code 3" in error["detail"] and "about to end with [redacted]" in error["detail"]
    assert SECRET not in "\n".join(calm.log)
    calm.signal("other", "go", 1)
    assert other.output()
    assert calm.run("next", agents.where).output()


def test_a_crash_in_native_code_is_explained_with_its_stack(calm: Stage) -> None:
    error = calm.run("run", agents.crashes).error()
    assert "signal SIGSEGV" in error["detail"] and "isolation_agents.py" in error["detail"]


def test_a_tool_that_raises_exit_fails_alone(calm: Stage) -> None:
    assert "SystemExit" in str(calm.run("run", agents.raises_exit).output())


def test_what_a_tool_forks_has_no_part_in_the_run(calm: Stage) -> None:
    pids: Any = calm.run("run", agents.forks).output()
    assert len(pids) == 3 and len(set(pids)) == 1
    completed = [message["path"] for message in calm.engine.messages if message["type"] == "step_completed"]
    assert completed == ["tool#1", "async tool#1"]


@pytest.mark.parametrize("reason", ["cancelled", "paused", "timed_out", "fenced"])
def test_code_that_blocks_is_killed_within_two_seconds(calm: Stage, tmp_path: Path, reason: str) -> None:
    took: list[float] = []
    while not took or min(took) >= 2:
        # a busy machine may be late, not always
        assert len(took) < 5, took
        path = tmp_path / f"pid-{len(took)}"
        calm.run("run", agents.blocks, str(path))
        [pid] = written(path)
        stopped_at = time.monotonic()
        calm.stop("run", reason)
        until(lambda pid=pid: not alive(pid), "the process is killed")
        took.append(time.monotonic() - stopped_at)
    assert calm.run("next", agents.where).output()


def test_code_that_can_be_cancelled_cleans_up_first(calm: Stage, tmp_path: Path) -> None:
    calm.run("run", agents.cleans_up, str(tmp_path / "pid"))
    [pid] = written(tmp_path / "pid")
    calm.stop("run", "cancelled")
    until(lambda: not alive(pid), "the process ends")
    assert (tmp_path / "pid.clean").exists()


def test_processes_that_a_run_started_end_with_it(calm: Stage, tmp_path: Path) -> None:
    calm.run("run", agents.spawns, str(tmp_path / "pids"))
    pids = written(tmp_path / "pids")
    assert len(pids) == 3 and all(map(alive, pids))
    calm.stop("run", "cancelled")
    until(lambda: not any(map(alive, pids)), "all of them end")


def test_nothing_is_orphaned_when_the_worker_is_killed(stage: Stage, tmp_path: Path) -> None:
    worker = stage.work()
    stage.run("blocked", agents.blocks, str(tmp_path / "blocked"))
    stage.run("spawning", agents.spawns, str(tmp_path / "spawning"))
    pids = [*written(tmp_path / "blocked"), *written(tmp_path / "spawning")]
    worker.send_signal(signal.SIGKILL)
    until(lambda: not any(map(alive, pids)), "the processes of its runs end")


def test_a_run_that_waits_gives_its_process_up_and_comes_back_in_another(stage: Stage) -> None:
    stage.work("--resident", "0.05")
    finished = stage.run("run", agents.waits)
    until(lambda: any(m["type"] == "suspend" for m in stage.engine.messages), "the run is suspended")
    stage.signal("run", "go", "now")
    output: Any = finished.output()
    first, signalled, second, attempt = output
    assert signalled == "now" and first != second and attempt == 2
    until(lambda: not alive(first), "the first process has ended")


def test_sigterm_hands_the_runs_on(stage: Stage) -> None:
    first = stage.work()
    finished = stage.run("run", agents.waits)
    until(lambda: any(m["type"] == "waiting" for m in stage.engine.messages), "the run waits")
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == -signal.SIGTERM
    stage.work()
    stage.signal("run", "go", "later")
    output: Any = finished.output()
    assert output[1] == "later"


def test_a_memory_limit_ends_the_attempt_with_a_code(stage: Stage) -> None:
    stage.work("--memory-limit", "200")
    slowly = stage.run("slowly", agents.hoards, 1).error()
    assert slowly["code"] == "memory_exceeded" and "limit of 200 MiB" in slowly["detail"]
    at_once = stage.run("at-once", agents.hoards, 100_000).error()
    assert at_once["code"] == "memory_exceeded" and at_once.get("data") == {"stepPath": "tool#1"}
    assert stage.run("next", agents.where).output()


def test_a_limit_of_the_system_is_a_code_of_the_step(stage: Stage) -> None:
    worker = stage.work()
    [zygote] = map(int, Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split())
    # as `ulimit -v` or a container would have it: attempts are forked from that process
    used = int(Path(f"/proc/{zygote}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(zygote, resource.RLIMIT_AS, (used + 512 * 2**20, used + 512 * 2**20))
    error = stage.run("run", agents.hoards, 1).error()
    assert error["code"] == "memory_exceeded" and error.get("data") == {"stepPath": "tool#1"}
    assert stage.run("next", agents.where).output()


def test_code_that_never_comes_back_is_ended_with_a_code(stage: Stage) -> None:
    # long enough for a process to start, and for its first message, on a busy machine
    stage.work("--stall-timeout", "4")
    waits = stage.run("waits", agents.waits)
    error = stage.run("run", agents.never_returns).error()
    assert error["code"] == "execution_stalled" and 'It was in "tool"' in error["detail"]
    stage.signal("waits", "go", 1)
    assert waits.output()


def test_a_result_that_is_too_large_fails_where_it_was_made(calm: Stage) -> None:
    assert str(calm.run("step", agents.returns_much).output()).startswith("payload_too_large: the result of step")
    assert calm.run("output", agents.outputs_much).error()["code"] == "payload_too_large"


def test_a_state_that_is_no_json_is_named(calm: Stage) -> None:
    error = calm.run("run", agents.returns_a_set).error()
    assert error["code"] == "output_invalid" and "$.state.seen" in error["detail"]


def test_a_worker_that_can_make_no_more_processes_says_so_and_ends(stage: Stage) -> None:
    worker = stage.work()
    finished = stage.run("run", agents.waits)
    until(lambda: any(m["type"] == "waiting" for m in stage.engine.messages), "the run waits")
    zygotes = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    os.kill(int(zygotes[0]), signal.SIGKILL)
    assert worker.wait(60) == 1
    until(lambda: stage.logged("unavailable: the process that runs are forked from died"), "it says why")
    assert finished.error()["code"] == "worker_lost"


def test_code_that_does_not_fit_its_history_is_a_mismatch_that_names_the_step(stage: Stage) -> None:
    stage.work("--resident", "0.05")
    finished = stage.run("run", agents.differs)
    until(lambda: any(m["type"] == "suspend" for m in stage.engine.messages), "the run is suspended")
    stage.signal("run", "go", "now")
    error = finished.error()
    assert error["code"] == "replay_mismatch" and "in process" in error["detail"]


def test_every_attempt_tells_the_code_that_its_worker_runs(calm: Stage) -> None:
    assert "code " in str(calm.hello["runtime"])
    assert all(agent["runtime"] == calm.hello["runtime"] for agent in calm.hello["agents"])


def test_the_process_of_an_attempt_can_be_killed_after_every_record() -> None:
    stage = Stage(reassign=True)
    try:
        stage.work()
        agents_told: Any = stage.run("calm", agents.works).output()
        records = stage.recorded
        assert records == 6 and agents_told["attempt"] == 1
        for kill_at in range(1, records + 1):
            stage.recorded, stage.kill_at = 0, kill_at
            stage.engine.messages.clear()
            told: Any = stage.run(f"killed-{kill_at}", agents.works).output()
            assert told == {**agents_told, "attempt": 2, "id": told["id"], "pids": told["pids"]}
            completed = [one["path"] for one in stage.engine.messages if one["type"] == "step_completed"]
            # of two at a time, the one that was not recorded is made again
            assert len(completed) == len(set(completed)) == records
            assert len(set(told["pids"])) == (1 if kill_at == records else 2) or kill_at == 1
            assert stage.workers[0].poll() is None
    finally:
        stage.close()


def test_an_agent_that_does_not_survive_a_fork_gets_a_fresh_interpreter_with_the_same_limits(tmp_path: Path) -> None:
    stage = Stage("unforkable_agents", "--isolation", "process", "--memory-limit", "200")
    try:
        worker = stage.work()
        runs = [stage.run(f"fresh-{index}", unforkable_agents.fresh).output(60) for index in range(3)]
        assert all(isinstance(one, list) and one[:3] == ["attempt", True, True] for one in runs), runs
        assert len({str(one) for one in runs}) == 3, "a process serves one attempt"
        assert stage.run("forked", unforkable_agents.forked).output(60) == ["worker", False]
        assert stage.run("hoards", agents.hoards, 300).error()["code"] == "memory_exceeded"

        path = tmp_path / "pid"
        stage.run("hangs", unforkable_agents.hangs, str(path))
        until(lambda: path.exists() and path.read_text(), "it hangs", 60)
        until(lambda: len(stage.attempts()) == 2, "what hoarded is gone, and another is kept ready", 60)
        processes = stage.attempts()
        assert int(path.read_text()) in processes
        worker.kill()
        until(lambda: not any(alive(pid) for pid in processes), "nothing is orphaned")
    finally:
        stage.close()


def test_a_worker_without_a_command_for_fresh_interpreters_refuses_agents_that_need_them() -> None:
    worker = omium.Worker([unforkable_agents.fresh], url="http://127.0.0.1:1", api_key=KEY, isolation="process")
    with pytest.raises(omium.OmiumError, match=r"fresh can't be forked soundly.*use `omium worker`"):
        worker.run()
