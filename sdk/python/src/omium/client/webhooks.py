"""Calls about webhooks: endpoints that are told what happens; see `schemas/src/api/webhooks.ts` for the shapes.

What arrives at them is signed as Standard Webhooks has it: https://www.standardwebhooks.com.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NotRequired, TypeAlias, TypedDict

from ..json import plain_json
from .flows import Calls, Flow, HttpRequest, Items, call, given, items, moment, pages, segment

WebhookEventType: TypeAlias = Literal[
    "execution.completed",
    "execution.failed",
    "execution.cancelled",
    "execution.waiting",
    "recovery.person_asked",
    "recovery.gave_up",
    "budget.exceeded",
]
DeliveryStatus: TypeAlias = Literal["pending", "delivered", "dead"]


class WebhookFilter(TypedDict):
    """Runs that an endpoint is told of; with both, either is enough."""

    workflows: NotRequired[Sequence[str]]
    agents: NotRequired[Sequence[str]]


class WebhookChanges(TypedDict):
    """What is not given stays; None takes the filter or the description away."""

    url: NotRequired[str]
    types: NotRequired[Sequence[WebhookEventType]]
    filter: NotRequired[WebhookFilter | None]
    description: NotRequired[str | None]


class WebhookDisabled(TypedDict):
    reason: Literal["requested", "gone", "failing"]
    detail: NotRequired[str]


class WebhookView(TypedDict):
    id: str
    url: str
    types: list[WebhookEventType]
    filter: NotRequired[WebhookFilter]
    description: NotRequired[str]
    status: Literal["enabled", "disabled"]
    disabled: NotRequired[WebhookDisabled]
    failingSince: NotRequired[str]
    """since when nothing could be delivered"""
    previousSecretUntil: NotRequired[str]
    """until then messages are signed with the secret before the newest one as well"""
    createdBy: str
    createdAt: str
    updatedAt: str
    position: str


class WebhookReceipt(TypedDict):
    id: str
    position: str
    deduplicated: bool


class WebhookSecret(WebhookReceipt):
    secret: str
    """`whsec_...`; told this once"""


class DeliveryReceipt(WebhookReceipt):
    delivery: str


class WebhookReplayReceipt(WebhookReceipt):
    replay: str


class DeliveryView(TypedDict):
    """A message to an endpoint, however often it was sent."""

    id: str
    """`webhook-id`"""
    type: WebhookEventType | Literal["webhook.test"]
    origin: Literal["event", "replay", "redelivery", "test"]
    status: DeliveryStatus
    attempts: int
    occurredAt: str
    requestedAt: str
    nextAt: NotRequired[str]
    """of the next attempt"""
    settledAt: NotRequired[str]
    lastStatus: NotRequired[int]
    why: NotRequired[str]


class AttemptView(TypedDict):
    at: str
    tookMs: float
    status: NotRequired[int]
    answer: NotRequired[str]
    """the beginning of it"""
    error: NotRequired[str]
    result: Literal["delivered", "retrying", "dead"]


class DeliveryDetail(DeliveryView):
    body: str
    """what was signed and sent"""
    history: list[AttemptView]


WebhookReplayView = TypedDict(
    "WebhookReplayView",
    {
        "id": str,
        "from": str,
        "to": str,
        "types": NotRequired[list[WebhookEventType]],
        "status": Literal["running", "finished", "stopped"],
        "found": NotRequired[int],
        "requestedBy": str,
        "requestedAt": str,
        "finishedAt": NotRequired[str],
    },
)


class WebhookCalls(Calls):
    """Endpoints that are told what happens. A call about one that is not there raises OmiumError `webhook_unknown`."""

    @items
    def list(self, *, page_size: int = 50) -> Items[WebhookView]:
        """Newest first, fetched page by page."""
        return pages(self._api, "/v1/webhooks", {"limit": page_size})

    @call
    def get(self, id: str) -> Flow[WebhookView]:
        return self._api.json(HttpRequest("GET", _path(id)))

    @call
    def create(
        self,
        url: str,
        types: Sequence[WebhookEventType],
        *,
        filter: WebhookFilter | None = None,
        description: str | None = None,
    ) -> Flow[WebhookSecret]:
        """A new endpoint; the answer has its secret, this once. Raises OmiumError `address_refused`."""
        body = given(url=url, types=types, filter=filter, description=description)
        return self._api.json(HttpRequest("POST", "/v1/webhooks", body))

    @call
    def change(self, id: str, changes: WebhookChanges) -> Flow[WebhookReceipt]:
        """Raises OmiumError `address_refused`."""
        return self._api.json(HttpRequest("PATCH", _path(id), plain_json(changes, "the changes")))

    @call
    def enable(self, id: str) -> Flow[WebhookReceipt]:
        """What happens from now on is delivered; what was before can be replayed."""
        return self._api.json(HttpRequest("POST", f"{_path(id)}/enable"))

    @call
    def disable(self, id: str) -> Flow[WebhookReceipt]:
        """What waits is given up."""
        return self._api.json(HttpRequest("POST", f"{_path(id)}/disable"))

    @call
    def delete(self, id: str) -> Flow[WebhookReceipt]:
        """With its secrets, and what is known of its deliveries."""
        return self._api.json(HttpRequest("DELETE", _path(id)))

    @call
    def rotate(self, id: str, *, overlap: float | None = None) -> Flow[WebhookSecret]:
        """A new secret, told this once; those before it sign, too, for `overlap` seconds, a day unless given."""
        body = given(overlapMs=None if overlap is None else round(overlap * 1000))
        return self._api.json(HttpRequest("POST", f"{_path(id)}/rotate", body))

    @call
    def test(self, id: str) -> Flow[DeliveryReceipt]:
        """Sends it a `webhook.test`."""
        return self._api.json(HttpRequest("POST", f"{_path(id)}/test"))

    @items
    def deliveries(self, id: str, *, status: DeliveryStatus | None = None, page_size: int = 50) -> Items[DeliveryView]:
        """The latest first; `dead` ones are the dead letters. Those that ended are forgotten after some weeks."""
        return pages(self._api, f"{_path(id)}/deliveries", {"status": status, "limit": page_size})

    @call
    def delivery(self, id: str, delivery: str) -> Flow[DeliveryDetail]:
        """With its attempts, and what was sent."""
        return self._api.json(HttpRequest("GET", f"{_path(id)}/deliveries/{segment(delivery)}"))

    @call
    def redeliver(self, id: str, delivery: str) -> Flow[DeliveryReceipt]:
        """Delivers a message again, under its id."""
        return self._api.json(HttpRequest("POST", f"{_path(id)}/deliveries/{segment(delivery)}/redeliver"))

    @call
    def replay(
        self,
        id: str,
        since: datetime,
        *,
        until: datetime | None = None,
        types: Sequence[WebhookEventType] | None = None,
    ) -> Flow[WebhookReplayReceipt]:
        """Delivers what happened in a time again, from the log: up to now, and what it is subscribed to, unless given."""
        body = given(**{"from": moment(since), "to": moment(until)}, types=types)
        return self._api.json(HttpRequest("POST", f"{_path(id)}/replay", body))

    @items
    def replays(self, id: str, *, page_size: int = 50) -> Items[WebhookReplayView]:
        """The latest first."""
        return pages(self._api, f"{_path(id)}/replays", {"limit": page_size})


def _path(webhook_id: str) -> str:
    return f"/v1/webhooks/{segment(webhook_id)}"
