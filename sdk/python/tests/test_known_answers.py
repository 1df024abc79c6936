"""What every SDK computes alike; `test/known-answers.spec.ts` checks the same file against the TypeScript side."""

import json
from pathlib import Path
from typing import Any

import pytest

from omium import Context, OmiumError, agent
from omium.context import child_id_of
from omium.durations import duration_to_ms
from omium.errors import error_catalogue
from omium.json import canonical_json, hash_json, plain_json, request_hash_of
from omium.replay.paths import PathScope
from omium.testing import run_agent

known: dict[str, Any] = json.loads((Path(__file__).parent / "known_answers.json").read_text())


@pytest.mark.parametrize("case", known["json"], ids=lambda case: case["text"])
def test_canonical_json_and_hashes(case: dict[str, Any]) -> None:
    value = json.loads(case["text"])
    assert canonical_json(value) == case["canonical"]
    assert hash_json(value) == case["hash"]
    assert request_hash_of(value) == case["requestHash"]


@pytest.mark.parametrize("case", known["json"], ids=lambda case: case["text"])
def test_plain_json_keeps_what_the_platform_keeps(case: dict[str, Any]) -> None:
    # what JSON.stringify writes, read again, is a fixed point
    kept = plain_json(json.loads(case["canonical"]), "it")
    assert canonical_json(kept) == case["canonical"]
    assert plain_json(kept, "it") == kept


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, 10**400, b"x", {1, 2}, {1: 2}, object()])
def test_plain_json_refuses_what_would_not_survive(value: object) -> None:
    with pytest.raises(OmiumError, match=r"at \$\.a\[0\] there is"):
        plain_json({"a": [value]}, "it")


def test_paths() -> None:
    scope = PathScope()
    assert [scope.next(case["name"], case.get("key")) for case in known["paths"]] == [
        case["path"] for case in known["paths"]
    ]
    assert PathScope().below("tools#1").next("chat") == known["below"]
    with pytest.raises(OmiumError, match="1024 are allowed"):
        scope.next("x" * 1023)


def test_child_ids_and_durations() -> None:
    child = known["childId"]
    assert child_id_of(child["executionId"], child["path"]) == child["id"]
    assert [duration_to_ms(case["text"]) for case in known["durations"]] == [case["ms"] for case in known["durations"]]
    assert [duration_to_ms(seconds) for seconds in (0.29, 0.57, 1.1, 3)] == [290, 570, 1100, 3000]


def test_request_hashes_of_calls() -> None:
    @agent()
    async def asks(_: None, ctx: Context) -> Any:
        await ctx.step("bare", lambda: 1)
        await ctx.step("null", lambda: 1, input=None)
        await ctx.now()
        await ctx.sleep("3d")
        await ctx.wait_for("go")
        await ctx.approve("Ship?", timeout=5)
        await ctx.call("c", {"t": 1})

    run = run_agent(asks, signals={"go": 1}, mocks={"c": 1})
    assert run.status == "completed", run.error
    assert [entry["requestHash"] for entry in run.journal] == [case["hash"] for case in known["requests"]]


def test_error_codes() -> None:
    assert {
        code: {"status": status, "retryable": retryable} for code, (status, retryable) in error_catalogue.items()
    } == known["errors"]
