"""Events of all of the tenant's executions; see `schemas/src/api/stream.ts` for the messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypedDict

from ..errors import OmiumError
from .flows import Dial, Give, Hear, Hung, Items, Pause, Tell
from .http import reconnect_delay_s
from .views import EventView

_SILENCE_S = 45.0
_KEY_REVOKED = 4001
_REFUSALS = {401: "unauthenticated", 403: "forbidden", _KEY_REVOKED: "unauthenticated"}


class FollowedEvent(TypedDict):
    """An event of any of the tenant's executions."""

    execution: str
    event: EventView


def follow(after: Sequence[str]) -> Items[FollowedEvent]:
    """See `Client.follow`."""
    positions = dict(_parts(position) for position in after)
    failures = 0
    while True:
        heard = yield Dial("/v1/stream")
        if heard is None:
            resumed = (
                {"after": [f"{partition}:{offset}" for partition, offset in positions.items()]} if positions else {}
            )
            heard = yield Tell(json.dumps({"type": "follow", "subscription": "feed", **resumed}))
        while not isinstance(heard, Hung):
            heard = yield Hear(_SILENCE_S)
            if not isinstance(heard, str):
                break
            message: dict[str, Any] = json.loads(heard)
            if message["type"] == "subscribed":
                positions.update(_parts(position) for position in message.get("after", []))
            elif message["type"] == "error":
                error = OmiumError.from_failure(message["error"])
                if not error.retryable:
                    raise error
                break
            elif message["type"] == "event":
                failures = 0
                partition, offset = _parts(message["event"]["position"])
                positions[partition] = offset
                yield Give(FollowedEvent(execution=message["execution"], event=message["event"]))
        if isinstance(heard, Hung) and heard.code in _REFUSALS:
            raise OmiumError(_REFUSALS[heard.code], f"the gateway refused the stream with {heard.code}")
        failures += 1
        yield Pause(reconnect_delay_s(failures))


def _parts(position: str) -> tuple[str, str]:
    partition, _, offset = position.partition(":")
    return partition, offset
