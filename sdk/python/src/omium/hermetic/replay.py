"""Runs a finished run against today's code: every answer comes from what was recorded, nothing else is made.

1. The record is followed to the letter: another request at a recorded place, and a recorded result that nobody asks for, are
   mismatches; what the record does not have is a miss. Neither leads to a call.
2. A run that was ended from outside (cancelled, out of time, out of attempts) has no end of its own: reaching the end of its
   record is the same.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NoReturn, NotRequired, TypedDict, cast

from ..agent import AnyAgent
from ..client import Client
from ..errors import OmiumError
from ..json import JsonValue, dumps
from ..llm.model import ChatRequest, LlmSettings
from ..llm.prices import default_prices
from ..protocol import JournalEntry
from ..replay.activity import StillLoop
from ..testing.engine import EngineOptions, TestEngine
from ..testing.execution import Outcome


class RecordedOutcome(TypedDict):
    """How a recorded run ended."""

    status: Literal["completed", "failed", "cancelled"]
    output: NotRequired[JsonValue]
    """of `completed`"""
    code: NotRequired[str]
    """of `failed`"""


class RecordedRun(TypedDict):
    """A finished run with everything that it recorded."""

    id: str
    agent: str
    input: JsonValue
    journal: list[JournalEntry]
    outcome: RecordedOutcome


class Verdict(TypedDict):
    """How a replay went. `error`: it could not be replayed at all, e.g. because the code has no such agent."""

    id: str
    verdict: Literal["same", "different", "mismatch", "miss", "error"]
    detail: str
    path: NotRequired[str]
    """the step that did not fit"""


_LIMIT_S = 30.0
_START_MS = 1_767_225_600_000.0
_FROM_OUTSIDE = (
    "execution_timeout",
    "attempts_exhausted",
    "worker_lost",
    "execution_parked",
    "attempt_fenced",
    "budget_exceeded",
)
"""ends that the platform sets, whatever the code was about to do"""


def recorded_run(client: Client, run_id: str) -> RecordedRun:
    """Fetches a run. Raises OmiumError `execution_unknown`, `invalid_request` for one that has not finished."""
    handle = client.handle(run_id)
    view = handle.get()
    outcome: RecordedOutcome
    match view["status"]:
        case "completed":
            outcome = {"status": "completed", "output": view.get("output")}
        case "failed":
            outcome = {"status": "failed", "code": view["error"]["code"] if "error" in view else "internal"}
        case "cancelled":
            outcome = {"status": "cancelled"}
        case other:
            raise OmiumError("invalid_request", f"execution {run_id} is {other}: only finished runs can be replayed")
    journal = [entry for _, entry in handle.journal()]
    return {"id": run_id, "agent": view["agent"], "input": view.get("input"), "journal": journal, "outcome": outcome}


async def _no_model(request: ChatRequest, on_delta: object) -> NoReturn:
    raise OmiumError("replay_miss", "no model is called in a replay")


def replay_recorded(agent: AnyAgent, run: RecordedRun) -> Verdict:
    """Replays one run. Runs a loop of its own."""

    async def main() -> Outcome | None:
        executor = ThreadPoolExecutor(8, thread_name_prefix="omium-step")
        try:
            options = EngineOptions(
                start_ms=_START_MS,
                mocks={},
                agents=[],
                inline_children=False,
                approve=lambda _title, _details: None,
                crashes_after=lambda _: False,
                llm=LlmSettings(_no_model, default_prices),
                limit_s=_LIMIT_S,
                journal=run["journal"],
                hermetic=True,
            )
            engine = TestEngine(options, asyncio.get_running_loop(), executor)
            return (await engine.execute(run["id"], agent, run["input"], [])).outcome
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    try:
        with asyncio.Runner(loop_factory=StillLoop) as runner:
            outcome = runner.run(main())
    except OmiumError as error:
        return {"id": run["id"], "verdict": "error", "detail": str(error)}
    return _judge(run, outcome or Outcome("waiting"))


def tried(run_id: str, what: str) -> Verdict:
    """Whatever the code made of the error: with a network it would have been a live call."""
    return {"id": run_id, "verdict": "miss", "detail": f"the code tried {what} outside of its recorded steps"}


def _excerpt(value: JsonValue) -> str:
    text = dumps(value)
    return f"{text[:199]}…" if len(text) > 200 else text


def _judge(run: RecordedRun, now: Outcome) -> Verdict:
    was = run["outcome"]
    code = was.get("code")
    open_end = was["status"] == "cancelled" or code in _FROM_OUTSIDE
    up_to_end: Verdict = {"id": run["id"], "verdict": "same", "detail": "up to the end of its record"}
    recorded = _excerpt(was.get("output")) if was["status"] == "completed" else f"{was['status']} {code or ''}".strip()
    if now.status == "failed" and now.error is not None:
        error = now.error
        if error["code"] in ("replay_mismatch", "replay_miss") and error["code"] != code:
            missed = error["code"] == "replay_miss"
            if missed and open_end:
                return up_to_end
            verdict: Verdict = {
                "id": run["id"],
                "verdict": "miss" if missed else "mismatch",
                "detail": error["detail"],
            }
            data = cast("dict[str, Any]", error.get("data") or {})
            if isinstance(data.get("path"), str):
                verdict["path"] = data["path"]
            return verdict
        if code == error["code"]:
            return {"id": run["id"], "verdict": "same", "detail": f"failed with {code}"}
        said = f"recorded: {recorded}; now: failed with {error['code']}: {error['detail']}"
        return {"id": run["id"], "verdict": "different", "detail": said}
    if open_end:
        return up_to_end
    if now.status == "waiting":
        return {"id": run["id"], "verdict": "different", "detail": "the code does not come to an end"}
    if was["status"] == "completed" and was.get("output") == now.output:
        return {"id": run["id"], "verdict": "same", "detail": "completed with the same output"}
    said = f"recorded: {recorded}; now: {_excerpt(now.output)}"
    return {"id": run["id"], "verdict": "different", "detail": said}
