"""Recorded runs against changed code, and the process without a network in which that happens."""

from __future__ import annotations

import socket
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import omium
from omium import OmiumError
from omium.cli import main
from omium.hermetic import RecordedRun, replay_recorded, replay_runs
from omium.hermetic.seccomp import refuse_native_network
from omium.testing import run_agent

made: list[str] = []


@omium.agent(id="writer")
async def original(_: None, ctx: omium.Context) -> dict[str, Any]:
    found = await ctx.gather(*(ctx.step("search", lambda key=key: f"facts {key}", key=key) for key in "ab"))
    answer = await ctx.llm.chat(model="large", messages=[{"role": "user", "content": ",".join(found)}])
    await ctx.sleep("1d")
    await ctx.step("mail", lambda: made.append("mail"), effect=True)
    return {"content": answer["content"], "keyed": len(await ctx.uuid()) > 10}


@omium.agent(id="writer")
async def other_prompt(_: None, ctx: omium.Context) -> None:
    await ctx.gather(*(ctx.step("search", lambda: "live", key=key) for key in "ab"))
    await ctx.llm.chat(model="large", messages=[{"role": "user", "content": "another prompt"}])


@omium.agent(id="writer")
async def longer(given: None, ctx: omium.Context) -> Any:
    result = await original.execute(given, ctx)
    await ctx.step("more", lambda: made.append("more"))
    return result


@omium.agent(id="writer")
async def other_end(given: None, ctx: omium.Context) -> str:
    await original.execute(given, ctx)
    return "something else"


def _recorded() -> RecordedRun:
    run = run_agent(original, None, llm=["an answer"])
    made.clear()
    return {
        "id": "run-1",
        "agent": "writer",
        "input": None,
        "journal": run.journal,
        "outcome": {"status": "completed", "output": run.output},  # type: ignore[typeddict-item]
    }


@pytest.mark.parametrize(
    ("code", "verdict", "path"),
    [
        (original, "same", None),
        (other_prompt, "mismatch", "chat#1"),
        (longer, "miss", "more#1"),
        (other_end, "different", None),
    ],
)
def test_verdicts(code: Any, verdict: str, path: str | None) -> None:
    found = replay_recorded(code, _recorded())
    assert (found["verdict"], found.get("path")) == (verdict, path), found["detail"]
    assert made == []


def test_a_run_that_was_ended_from_outside_is_the_same_up_to_the_end_of_its_record() -> None:
    run = _recorded()
    cut: RecordedRun = {**run, "journal": run["journal"][:2], "outcome": {"status": "cancelled"}}
    assert replay_recorded(original, cut)["verdict"] == "same"


def _run(number: int) -> RecordedRun:
    return {
        "id": str(number),
        "agent": "writer",
        "input": number,
        "journal": [],
        "outcome": {"status": "completed", "output": "done"},
    }


def test_the_process_has_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
            import multiprocessing, socket, subprocess, urllib.request
            import httpx, omium

            def connect():
                socket.create_connection(("127.0.0.1", {port}))

            async def fetch():
                async with httpx.AsyncClient() as client:
                    await client.get("http://127.0.0.1:{port}/")

            @omium.agent(id="writer")
            async def writer(number: int, ctx: omium.Context) -> str:
                print("what code prints is for people")
                try:
                    match number:
                        case 1: connect()
                        case 2: await fetch()
                        case 3: urllib.request.urlopen("http://127.0.0.1:{port}/")
                        case 4: socket.getaddrinfo("localhost", 80)
                        case 5: subprocess.run(["true"])
                        case 7: multiprocessing.get_context("spawn").Process(target=connect).start()
                        case 6: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port}))
                except Exception:
                    pass
                return "done"
        """
        (tmp_path / "guarded_code.py").write_text(textwrap.dedent(code))
        monkeypatch.chdir(tmp_path)
        verdicts = list(replay_runs(["guarded_code:writer"], [_run(number) for number in range(8)]))
        assert [verdict["verdict"] for verdict in verdicts] == ["same", *["miss"] * 7]
        assert "127.0.0.1" in verdicts[1]["detail"]
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_native_code_and_other_programs_have_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
            import asyncio, ctypes, os, pwd, socket, struct, sys
            import omium

            libc = ctypes.CDLL(None)
            address = struct.pack("=HHI8x", socket.AF_INET, socket.htons({port}), socket.htonl(0x7F000001))
            program = "import socket; socket.create_connection(('127.0.0.1', {port}))"

            def connect(held=False):
                # as an extension does that keeps the interpreter's lock
                native = ctypes.PyDLL(None) if held else libc
                with socket.socket() as one:
                    native.connect(one.fileno(), address, len(address))

            def send():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                    libc.sendto(one.fileno(), b"x", 1, 0, address, len(address))

            async def harmless():
                # a loop has a pair of sockets, names of users are asked of a service of the machine
                await asyncio.to_thread(pwd.getpwuid, os.getuid())
                one, other = socket.socketpair()
                libc.send(one.fileno(), b"x", 1, 0)
                assert other.recv(1) == b"x"

            @omium.agent(id="writer")
            async def writer(number: int, ctx: omium.Context) -> str:
                match number:
                    case 0: await harmless()
                    case 1: connect()
                    case 2: connect(held=True)
                    case 3: send()
                    case 4: libc.system(f'{{sys.executable}} -c "{{program}}" 2> /dev/null'.encode())
                    case 5: await asyncio.to_thread(connect)
                return "done"
        """
        (tmp_path / "native_code.py").write_text(textwrap.dedent(code))
        monkeypatch.chdir(tmp_path)
        verdicts = list(replay_runs(["native_code:writer"], [_run(number) for number in range(6)]))
        if sys.platform != "linux":
            assert "native code is not bound: " in caplog.text
            return
        assert [verdict["verdict"] for verdict in verdicts] == ["same", *["miss"] * 5], verdicts
        for verdict in verdicts[1:]:
            assert f"127.0.0.1:{port} from native code of" in verdict["detail"]
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_where_native_code_cannot_be_bound_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        refuse_native_network()


def test_code_that_cannot_be_loaded_or_ends_the_process_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OmiumError) as missing:
        list(replay_runs(["no_such_module"], [_run(1)]))
    assert missing.value.code == "not_found"
    (tmp_path / "ending_code.py").write_text(
        "import os\nimport omium\n@omium.agent(id='writer')\n"
        "async def writer(_: int, ctx: omium.Context) -> None:\n    os._exit(3)\n"
    )
    with pytest.raises(OmiumError) as lost:
        list(replay_runs(["ending_code"], [_run(1)]))
    assert lost.value.code == "worker_lost"


def test_the_command_line_needs_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["replay", "run-1"])
    assert refused.value.code == 2
