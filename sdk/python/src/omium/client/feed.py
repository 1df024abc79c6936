"""What happens to all of the tenant's executions, and what it costs; see `schemas/src/api/stream.ts` for the shapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

from .flows import Api, Give, HttpRequest, Items, following
from .messages import messages
from .views import EventHead, EventView

_PAGE = 1000


class FollowedEvent(TypedDict):
    """An event of any of the tenant's executions."""

    execution: str
    event: EventView


class ChargeUsage(TypedDict):
    model: NotRequired[str]
    inputTokens: NotRequired[int]
    outputTokens: NotRequired[int]
    costMicroCredits: NotRequired[int]
    """millionths of a credit"""


class ChargeData(TypedDict):
    attempt: int
    path: str
    name: str
    kind: str
    stepAttempt: int
    usage: ChargeUsage


class ChargeView(EventHead):
    """A step's event with what it used and cost, without what was asked or answered."""

    data: ChargeData


class ChargeEvent(TypedDict):
    execution: str
    event: ChargeView


def feed(api: Api, path: Literal["/v1/events", "/v1/charges"], after: Sequence[str], live: bool) -> Items[Any]:
    """See `Client.follow`."""
    # also where nothing is behind: from then on it is known where the feed stood
    stands = ",".join(after) or None
    while True:
        page: dict[str, Any] = yield from api.json(HttpRequest("GET", path, query={"after": stands, "limit": _PAGE}))
        for item in page["items"]:
            yield Give(item)
        stands = page["after"]
        if "nextCursor" not in page:
            break
    if not live:
        return
    stream = messages(api, path, after=stands)
    while (sent := (yield from following(stream))) is not None:
        if sent.kind != "position":
            yield Give(json.loads(sent.data))
