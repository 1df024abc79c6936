"""Calls about executions: starting, finding, watching and steering them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Generic, Literal, TypeVar, cast

from ..agent import AnyAgent
from ..errors import OmiumError
from ..ids import new_id
from ..json import JsonValue, plain_json
from ..policy import RunOptions
from ..protocol import JournalEntry, RunOverrides
from ..replay.call import MISSING, Missing
from .checkpoints import CheckpointKind, CheckpointView
from .flows import (
    Api,
    Calls,
    Driver,
    Flow,
    Give,
    HttpRequest,
    Items,
    Pause,
    call,
    collected,
    following,
    given,
    items,
    pages,
    segment,
)
from .http import reconnect_delay_s
from .messages import messages
from .rewind import Edits, RewindPreview, RunDiff
from .views import (
    DeltaView,
    EventView,
    ExecutionStatus,
    ExecutionView,
    FailureView,
    Resolution,
    StepView,
    WriteReceipt,
)

_Out = TypeVar("_Out")
_Handle = TypeVar("_Handle")
"""what a run's handle is: its forks have the same"""

_LONG_POLL_S = 20.0
_LONGEST_OUTAGE_S = 300.0
"""how long a result is waited for while the gateway does not answer at all"""
_GRACE_S = 1.0
"""how much later than it was told to a wait may give up"""
_ENDED = ("completed", "failed", "cancelled")
_TERMINAL_EVENTS = ("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled")


def start(
    api: Api, agent: AnyAgent | str, input: object, id: str | None, options: RunOptions | None
) -> Flow[WriteReceipt]:
    """Starts an execution; see `Client.start`."""
    body: dict[str, JsonValue] = {
        "agent": agent if isinstance(agent, str) else agent.id,
        "input": plain_json(input, "the input"),
        "id": id or new_id("exe"),
    }
    if options is not None:
        body["options"] = options.wire()
    return api.json(HttpRequest("POST", "/v1/executions", body))


class ExecutionCalls(Calls):
    """Calls about all executions."""

    @call
    def get(self, id: str) -> Flow[ExecutionView]:
        return self._api.json(HttpRequest("GET", _path(id)))

    @items
    def list(
        self,
        *,
        status: ExecutionStatus | None = None,
        agent: str | None = None,
        parent: str | None = None,
        forked_from: str | None = None,
        labels: Mapping[str, str] | None = None,
        page_size: int = 50,
    ) -> Items[ExecutionView]:
        """All executions that fit, newest first, fetched page by page."""
        query = {
            "status": status,
            "agent": agent,
            "parent": parent,
            "forked_from": forked_from,
            "label": [f"{name}:{value}" for name, value in labels.items()] if labels else None,
            "limit": page_size,
        }
        return pages(self._api, "/v1/executions", query)

    @items
    def failures(self, *, execution: str | None = None, page_size: int = 50) -> Items[FailureView]:
        """Failures of steps, attempts and executions, newest first."""
        return pages(self._api, "/v1/failures", {"execution": execution, "limit": page_size})


class RunCalls(Calls, Generic[_Out, _Handle]):
    """A started execution."""

    def __init__(self, driver: Driver, id: str, receipt: WriteReceipt | None = None) -> None:
        super().__init__(driver)
        self.id = id
        self.position = receipt["position"] if receipt else None
        """where on the log its last change made through this handle was accepted"""
        self.created = receipt is not None and not receipt["deduplicated"]
        """False when it had been started before with this id and input"""

    @call
    def result(self, *, timeout: float | None = None) -> Flow[_Out]:
        """Waits for the end. Raises OmiumError: the run's failure, `execution_cancelled`, or `timeout` (seconds)."""
        return cast(_Out, _output_of((yield from self._ended(timeout))))

    @call
    def ended(self, *, timeout: float | None = None) -> Flow[ExecutionView]:
        """Waits for the end, however it ends. Raises OmiumError `timeout` (seconds)."""
        return self._ended(timeout)

    @call
    def get(self) -> Flow[ExecutionView]:
        return self._get()

    @items
    def events(self, *, after: int = 0) -> Items[EventView]:
        """History, then live, each event once and in order, until the end; survives broken connections."""
        return cast("Items[EventView]", self._follow(after, deltas=False))

    @items
    def watch(self, *, after: int = 0) -> Items[EventView | DeltaView]:
        """The events, and between them the live output of steps that run, which is shown and never recorded."""
        return self._follow(after, deltas=True)

    @call
    def steps(self, *, superseded: bool = False) -> Flow[list[StepView]]:
        """The timeline. `superseded`: also those that a roll back made void."""
        query = {"limit": 200, "min_position": self.position, "superseded": "true" if superseded else None}
        return collected(pages(self._api, f"{_path(self.id)}/steps", query))

    @call
    def journal(self) -> Flow[list[tuple[str, JournalEntry]]]:
        """All recorded results with the names of their steps, in the order in which code got them."""
        found = yield from collected(pages(self._api, f"{_path(self.id)}/journal", {}))
        return [(item["name"], item["entry"]) for item in found]

    @call
    def signal(self, name: str, payload: object = None, *, id: str | None = None) -> Flow[WriteReceipt]:
        body = {"name": name, "payload": plain_json(payload, "the payload"), "id": id or new_id("sig")}
        return self._write("signals", body)

    @call
    def approve(
        self, path: str, decision: Literal["approved", "rejected"] = "approved", comment: str | None = None
    ) -> Flow[WriteReceipt]:
        """Decides the approval at a path, e.g. `approve#1`."""
        return self._write("approvals", {"path": path, "decision": decision, **given(comment=comment)})

    @call
    def pause(self, reason: str | None = None) -> Flow[WriteReceipt]:
        return self._write("pause", given(reason=reason))

    @call
    def resume(self) -> Flow[WriteReceipt]:
        return self._write("resume", {})

    @call
    def cancel(self, reason: str | None = None) -> Flow[WriteReceipt]:
        return self._write("cancel", given(reason=reason))

    @call
    def resolve(self, path: str, resolution: Resolution, comment: str | None = None) -> Flow[WriteReceipt]:
        """Settles a step whose outcome is unknown."""
        body = {"path": path, "resolution": plain_json(resolution, "the resolution"), **given(comment=comment)}
        return self._write("resolve", body)

    @call
    def fork(
        self,
        *,
        to_path: str | Missing | None = MISSING,
        input: object = MISSING,
        edits: Edits | None = None,
        options: RunOptions | None = None,
        id: str | None = None,
    ) -> Flow[_Handle]:
        """A new run that takes over recorded results up to and including `to_path`; None: none of them.

        By default up to the last edited one, or all. With another input what was recorded is taken over without a look at
        what each step was asked.
        """
        body = {"id": id or new_id("exe"), **_fork_body(to_path, input, edits, options)}
        receipt = yield from self._api.json(HttpRequest("POST", f"{_path(self.id)}/fork", body))
        return cast(_Handle, type(self)(self._driver, receipt["executionId"], receipt))

    @call
    def preview_fork(
        self, *, to_path: str | Missing | None = MISSING, input: object = MISSING, edits: Edits | None = None
    ) -> Flow[RewindPreview]:
        """What a fork would take over, run again and cost; starts nothing."""
        body = _fork_body(to_path, input, edits, None)
        return self._api.json(HttpRequest("POST", f"{_path(self.id)}/fork/preview", body))

    @call
    def roll_back(
        self, to_path: str | None, *, reason: str | None = None, overrides: RunOverrides | None = None
    ) -> Flow[WriteReceipt]:
        """Forgets what was recorded after a step (None: all), stops the live attempt and goes on from there."""
        return self._write("rollback", {"toPath": to_path, **given(reason=reason, overrides=overrides)})

    @call
    def preview_roll_back(self, to_path: str | None) -> Flow[RewindPreview]:
        """What a roll back would keep, run again and cost; changes nothing."""
        return self._api.json(HttpRequest("POST", f"{_path(self.id)}/rollback/preview", {"toPath": to_path}))

    @call
    def diff(self, other: str) -> Flow[RunDiff]:
        """Where this run and another part, why, and what follows from it."""
        return self._api.json(HttpRequest("GET", f"{_path(self.id)}/diff/{segment(other)}"))

    @items
    def checkpoints(self, *, kind: CheckpointKind | None = None, page_size: int = 50) -> Items[CheckpointView]:
        """The run's checkpoints, also superseded ones, newest first."""
        return pages(self._api, f"{_path(self.id)}/checkpoints", {"kind": kind, "limit": page_size})

    def _get(self) -> Flow[ExecutionView]:
        return self._api.json(HttpRequest("GET", _path(self.id), query={"min_position": self.position}))

    def _write(self, what: str, body: Mapping[str, JsonValue]) -> Flow[WriteReceipt]:
        receipt = yield from self._api.json(HttpRequest("POST", f"{_path(self.id)}/{what}", dict(body)))
        self.position = receipt["position"]
        return receipt

    def _ended(self, timeout: float | None) -> Flow[ExecutionView]:
        deadline = None if timeout is None else time.monotonic() + timeout
        answered_at = time.monotonic()
        failures = 0
        while True:
            left = _LONG_POLL_S if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise OmiumError("timeout", f"execution {self.id} has not ended within {timeout} s")
            wait_s = min(_LONG_POLL_S, left)
            query = {"wait_ms": max(1, round(wait_s * 1000)), "min_position": self.position}
            patience_s = wait_s + 10 if deadline is None else min(wait_s + 10, left + _GRACE_S)
            path = f"{_path(self.id)}/result"
            try:
                view: ExecutionView | None = yield from self._api.json(
                    HttpRequest("GET", path, query=query, timeout_s=patience_s, max_tries=1)
                )
            except OmiumError as error:
                # the run goes on whatever becomes of the gateway, so waiting does, too
                if not error.retryable or time.monotonic() - answered_at > _LONGEST_OUTAGE_S:
                    raise
                failures += 1
                delay_s = reconnect_delay_s(failures)
                yield Pause(delay_s if deadline is None else max(0.0, min(delay_s, deadline - time.monotonic())))
                continue
            if view is not None and view["status"] in _ENDED:
                return view
            answered_at = time.monotonic()
            failures = 0

    def _follow(self, after: int, *, deltas: bool) -> Items[EventView | DeltaView]:
        # a stream of a run that the read model does not have yet would be refused
        if self.position is not None:
            yield from self._get()
        path = f"{_path(self.id)}/events"
        query = {"deltas": "true" if deltas else "false"}
        stream = messages(self._api, path, query=query, after=str(after) if after else None)
        last_version = after
        while (sent := (yield from following(stream))) is not None:
            if sent.kind == "delta":
                if deltas:
                    yield Give(cast(DeltaView, json.loads(sent.data)))
                continue
            event = cast(EventView, json.loads(sent.data))
            if event["version"] <= last_version:
                continue
            last_version = event["version"]
            yield Give(event)
            if event["type"] in _TERMINAL_EVENTS:
                return


def _fork_body(
    to_path: str | Missing | None, given_input: object, edits: Edits | None, options: RunOptions | None
) -> dict[str, JsonValue]:
    """What is asked of a fork; what is MISSING is left to the platform."""
    body: dict[str, JsonValue] = {}
    if not isinstance(to_path, Missing):
        body["toPath"] = to_path
    if not isinstance(given_input, Missing):
        body["input"] = plain_json(given_input, "the input")
    if options is not None:
        body["options"] = options.wire()
    return {**body, **(edits.wire() if edits is not None else {})}


def _path(execution_id: str) -> str:
    return f"/v1/executions/{segment(execution_id)}"


def _output_of(view: ExecutionView) -> JsonValue:
    if view["status"] == "completed":
        return view.get("output")
    if "error" in view:
        raise OmiumError.from_failure(view["error"])
    code = "execution_cancelled" if view["status"] == "cancelled" else "internal"
    raise OmiumError(code, f"execution {view['id']} ended as {view['status']}")
