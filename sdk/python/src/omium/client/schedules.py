"""Calls about schedules: workflows that run by the clock."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from ..json import JsonValue, plain_json
from .flows import Calls, Flow, HttpRequest, Items, call, items, pages, segment
from .workflows import RunEnd, WorkflowReceipt, WorkflowRunOptions


class CatchUp(TypedDict):
    """What happens to the moments that passed while nobody could start a run."""

    policy: NotRequired[Literal["none", "last", "all"]]
    limit: NotRequired[int]
    graceMs: NotRequired[int]


class Schedule(TypedDict):
    workflow: str
    version: NotRequired[int]
    cron: str
    timezone: NotRequired[str]
    parameters: NotRequired[JsonValue]
    overlap: NotRequired[Literal["skip", "queue", "cancel_previous", "allow"]]
    catchUp: NotRequired[CatchUp]
    startAt: NotRequired[str]
    endAt: NotRequired[str]
    options: NotRequired[WorkflowRunOptions]


class ScheduleView(TypedDict):
    id: str
    workflow: str
    version: NotRequired[int]
    cron: str
    timezone: str
    overlap: str
    catchUp: CatchUp
    status: Literal["active", "paused"]
    nextAt: NotRequired[str]
    lastFiredAt: NotRequired[str]
    fired: int
    skipped: int
    position: str


class Firing(TypedDict):
    """What became of a moment."""

    nominalAt: str
    outcome: Literal["fired", "queued", "skipped"]
    reason: NotRequired[str]
    count: int
    runId: NotRequired[str]
    end: NotRequired[RunEnd]


class Steered(Calls):
    """What schedules and triggers have in common."""

    _base: str

    @call
    def pause(self, id: str) -> Flow[WorkflowReceipt]:
        """Nothing of what passes meanwhile starts a run."""
        return self._api.json(HttpRequest("POST", f"{self._at(id)}/pause", {}))

    @call
    def resume(self, id: str) -> Flow[WorkflowReceipt]:
        return self._api.json(HttpRequest("POST", f"{self._at(id)}/resume", {}))

    @call
    def delete(self, id: str) -> Flow[WorkflowReceipt]:
        return self._api.json(HttpRequest("DELETE", self._at(id)))

    def _at(self, id: str) -> str:
        return f"{self._base}/{segment(id)}"


class ScheduleCalls(Steered):
    """Workflows by the clock."""

    _base = "/v1/schedules"

    @items
    def list(self, *, workflow: str | None = None, page_size: int = 50) -> Items[ScheduleView]:
        return pages(self._api, self._base, {"workflow": workflow, "limit": page_size})

    @call
    def get(self, id: str) -> Flow[ScheduleView]:
        return self._api.json(HttpRequest("GET", self._at(id)))

    @call
    def put(self, id: str, schedule: Schedule) -> Flow[WorkflowReceipt]:
        """Makes or changes a schedule: moments after now count."""
        return self._api.json(HttpRequest("PUT", self._at(id), plain_json(schedule, "the schedule")))

    @items
    def firings(self, id: str, *, page_size: int = 50) -> Items[Firing]:
        """What became of its moments, newest first."""
        return pages(self._api, f"{self._at(id)}/firings", {"limit": page_size})
