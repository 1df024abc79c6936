"""Going back in a run, starting others from it, comparing and replaying: calls without I/O, as in api.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast
from urllib.parse import quote

from ..ids import new_id
from ..json import JsonValue, plain_json
from ..policy import RunOptions
from ..protocol import JournalEntry, RunOverrides
from ..replay.call import Missing
from .api import Api, Flow, HttpRequest, execution_path
from .views import WriteReceipt

Report: TypeAlias = "dict[str, Any]"
"""An answer of the API as it is: see `schemas/src/api/rewind.ts` for `rewindPreview`, `runDiff`, `replayReceipt` and
`replayReport`."""


@dataclass(frozen=True, slots=True)
class Edits:
    """What is changed of a run that is run again."""

    outputs: Mapping[str, object] = field(default_factory=dict[str, object])
    """other results of steps that are taken over, by path: e.g. of a tool or a model"""
    overrides: RunOverrides | None = None
    """another model, more instructions, a shorter context, for model calls that are really made"""
    agent: str | None = None
    """another agent, e.g. the next version of this one"""

    def wire(self) -> dict[str, JsonValue]:
        """As they travel."""
        body: dict[str, JsonValue] = {}
        if self.outputs:
            body["outputs"] = [
                {"path": path, "output": plain_json(output, f"the output of {path}")}
                for path, output in self.outputs.items()
            ]
        if self.overrides is not None:
            body["overrides"] = plain_json(self.overrides, "the overrides")
        if self.agent is not None:
            body["agent"] = self.agent
        return body


def fork_body(
    to_path: str | Missing | None,
    given: object,
    edits: Edits | None,
    options: RunOptions | None,
    fork_id: str | None,
) -> dict[str, JsonValue]:
    """What is asked of a fork; what is MISSING is left to the platform."""
    body: dict[str, JsonValue] = {} if fork_id is None else {"id": fork_id}
    if not isinstance(to_path, Missing):
        body["toPath"] = to_path
    if not isinstance(given, Missing):
        body["input"] = plain_json(given, "the input")
    if options is not None:
        body["options"] = options.wire()
    return {**body, **(edits.wire() if edits is not None else {})}


def roll_back(
    api: Api, execution_id: str, to_path: str | None, reason: str | None, overrides: RunOverrides | None
) -> Flow[WriteReceipt]:
    body: dict[str, JsonValue] = {"toPath": to_path}
    if reason is not None:
        body["reason"] = reason
    if overrides is not None:
        body["overrides"] = plain_json(overrides, "the overrides")
    return api.write(execution_id, "rollback", body)


def preview(api: Api, execution_id: str, what: str, body: dict[str, JsonValue]) -> Flow[Report]:
    request = HttpRequest("POST", f"{execution_path(execution_id)}/{what}/preview", True, body)
    return cast(Report, (yield from api.json(request)))


def journal(api: Api, execution_id: str) -> Flow[list[tuple[str, JournalEntry]]]:
    """All recorded results with the names of their steps, in the order in which code got them."""
    entries: list[tuple[str, JournalEntry]] = []
    cursor: str | None = None
    while True:
        request = HttpRequest("GET", f"{execution_path(execution_id)}/journal", True, query={"cursor": cursor})
        page = cast("dict[str, Any]", (yield from api.json(request)))
        entries.extend((item["name"], item["entry"]) for item in page["items"])
        cursor = page.get("nextCursor")
        if cursor is None:
            return entries


def diff(api: Api, execution_id: str, other: str) -> Flow[Report]:
    path = f"{execution_path(execution_id)}/diff/{quote(other, safe='')}"
    return cast(Report, (yield from api.json(HttpRequest("GET", path, True))))


def create_replay(
    api: Api,
    runs: Sequence[str] | None,
    agent: str | None,
    last: int,
    start: int | str | None,
    edits: Edits | None,
    budget: int | None,
    budget_per_run: int | None,
    replay_id: str | None,
) -> Flow[Report]:
    body: dict[str, JsonValue] = {"id": replay_id or new_id("rpl")}
    body["runs"] = {"ids": list(runs)} if runs is not None else {"agent": agent, "last": last}
    if start is not None:
        body["from"] = {"step": start} if isinstance(start, int) else {"path": start}
    caps: dict[str, JsonValue] = {}
    if budget is not None:
        caps["totalMicroCredits"] = budget
    if budget_per_run is not None:
        caps["perRunMicroCredits"] = budget_per_run
    if caps:
        body["budget"] = caps
    request = HttpRequest(
        "POST", "/v1/replays", True, {**body, **(edits.wire() if edits is not None else {})}, timeout_s=300
    )
    return cast(Report, (yield from api.json(request)))


def replay_report(api: Api, replay_id: str) -> Flow[Report]:
    request = HttpRequest("GET", f"/v1/replays/{quote(replay_id, safe='')}", True, timeout_s=120)
    return cast(Report, (yield from api.json(request)))
