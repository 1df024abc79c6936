"""Calls about triggers: workflows that run by events."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from ..json import JsonValue, plain_json
from .flows import Flow, HttpRequest, Items, call, items, pages
from .schedules import Steered
from .workflows import WorkflowReceipt, WorkflowRunOptions


class WebhookSource(TypedDict):
    type: Literal["webhook"]


class TopicSource(TypedDict):
    type: Literal["topic"]
    topic: str


class WorkflowSource(TypedDict):
    type: Literal["workflow"]
    workflow: str
    on: list[Literal["completed", "failed", "cancelled"]]


class Trigger(TypedDict):
    workflow: str
    version: NotRequired[int]
    source: WebhookSource | TopicSource | WorkflowSource
    filter: NotRequired[str]
    """an expression over `event`; only events for which it is true start a run"""
    parameters: NotRequired[JsonValue]
    """a template over `event`; `event` itself unless given"""
    options: NotRequired[WorkflowRunOptions]


class TriggerReceipt(WorkflowReceipt):
    secret: NotRequired[str]
    """told once; signs what is sent to `url`"""
    url: NotRequired[str]


class TriggerViewSource(TypedDict):
    type: str
    topic: NotRequired[str]
    workflow: NotRequired[str]


class TriggerView(TypedDict):
    id: str
    workflow: str
    version: NotRequired[int]
    source: TriggerViewSource
    filter: NotRequired[str]
    status: Literal["active", "paused"]
    fired: int
    ignored: int
    lastFiredAt: NotRequired[str]
    position: str


class TriggerCalls(Steered):
    """Workflows by events."""

    _base = "/v1/triggers"

    @items
    def list(self, *, page_size: int = 50) -> Items[TriggerView]:
        return pages(self._api, self._base, {"limit": page_size})

    @call
    def get(self, id: str) -> Flow[TriggerView]:
        return self._api.json(HttpRequest("GET", self._at(id)))

    @call
    def put(self, id: str, trigger: Trigger) -> Flow[TriggerReceipt]:
        """Makes or changes a trigger. The answer to a new webhook has its URL and, once, its secret."""
        return self._api.json(HttpRequest("PUT", self._at(id), plain_json(trigger, "the trigger")))
