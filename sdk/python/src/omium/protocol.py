"""The worker protocol, version 1, as `schemas/src/worker-protocol.ts` defines it: messages, and the check of what arrives.

Invariants:
1. A result counts when the engine has acknowledged it, which it does only after its event was accepted on the log.
2. Everything about one execution carries its attempt number; messages of an older attempt are refused (`attempt_fenced`).
3. `ack`, `nack` and `resolve` of one execution arrive in log order.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict, cast

from .errors import Failure, OmiumError
from .json import JsonValue, dumps

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL: Final = "omium.worker.v1"

WorkerMessage: TypeAlias = "dict[str, Any]"
"""A message to the engine; its members are those of `workerMessage`."""


class JournalEntry(TypedDict):
    """A recorded entry of the journal, as a worker replays it."""

    path: str
    requestHash: str
    kind: str
    status: Literal["completed", "failed", "pending", "retrying", "unknown"]
    value: NotRequired[JsonValue]
    """of `completed`"""
    error: NotRequired[Failure]
    """of `failed`"""
    stepAttempt: NotRequired[int]
    """of `retrying` and `unknown`"""
    retryAt: NotRequired[float]
    """of `retrying`, ms since the epoch"""
    idempotencyKey: NotRequired[str]
    """of `unknown`"""


ANY_REQUEST: Final = "*"
"""The request hash of an entry that fits whatever the code asks for at its path."""


class RunOverrides(TypedDict, total=False):
    """What model calls that are really made do otherwise than the code says."""

    models: dict[str, str]
    """another model, by the one that the code asks for; `*` stands for any"""
    instructions: str
    """a system message added to every model call"""
    maxInputTokens: int
    """the oldest messages are left out until the request is about that short"""


class Recording(TypedDict):
    """A recorded call that a simulated run may be answered from; one of `value` and `error` is set."""

    name: str
    kind: str
    path: str
    requestHash: str
    value: NotRequired[JsonValue]
    error: NotRequired[Failure]


class EngineMessage(TypedDict):
    """A message from the engine. Which members it has is decided by `type`, see `parse_frame`."""

    type: str
    executionId: NotRequired[str]
    attempt: NotRequired[int]
    seq: NotRequired[int]
    entry: NotRequired[JournalEntry]
    entries: NotRequired[list[JournalEntry]]
    last: NotRequired[bool]
    error: NotRequired[Failure]
    idempotencyKey: NotRequired[str]
    reason: NotRequired[Literal["cancelled", "paused", "timed_out", "fenced"]]
    agentId: NotRequired[str]
    input: NotRequired[JsonValue]
    journalEntries: NotRequired[int]
    budgetMicroCredits: NotRequired[int]
    overrides: NotRequired[RunOverrides]
    simulate: NotRequired[bool]
    recordings: NotRequired[list[Recording]]
    generation: NotRequired[int]
    heartbeatIntervalMs: NotRequired[float]
    leaseMs: NotRequired[float]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_failure(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    failure = cast("dict[str, object]", value)
    return (
        _is_text(failure.get("code")) and _is_text(failure.get("detail")) and isinstance(failure.get("retryable"), bool)
    )


def _is_entry(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    entry = cast("dict[str, object]", value)
    if not all(_is_text(entry.get(key)) for key in ("path", "requestHash", "kind", "status")):
        return False
    match entry["status"]:
        case "completed":
            return "value" in entry
        case "failed":
            return _is_failure(entry.get("error"))
        case "pending":
            return True
        case "retrying":
            return _is_count(entry.get("stepAttempt")) and _is_number(entry.get("retryAt"))
        case "unknown":
            return _is_count(entry.get("stepAttempt")) and _is_text(entry.get("idempotencyKey"))
        case _:
            return False


def _is_entries(value: object) -> bool:
    return isinstance(value, list) and all(_is_entry(entry) for entry in cast("list[object]", value))


_Check: TypeAlias = "Callable[[object], bool]"
_RUN: Final[dict[str, _Check]] = {"executionId": _is_text, "attempt": _is_count}
_REQUEST: Final[dict[str, _Check]] = {**_RUN, "seq": _is_count}
_required: Final[dict[str, dict[str, _Check]]] = {
    "welcome": {"protocol": _is_count, "heartbeatIntervalMs": _is_number, "leaseMs": _is_number},
    "refused": {"error": _is_failure},
    "assign": {**_RUN, "agentId": _is_text, "journalEntries": _is_count, "input": lambda _: True},
    "journal": {**_RUN, "entries": _is_entries, "last": lambda value: isinstance(value, bool)},
    "ack": _REQUEST,
    "nack": {**_REQUEST, "error": _is_failure},
    "resolve": {**_RUN, "entry": _is_entry},
    "stop": {**_RUN, "reason": lambda value: value in ("cancelled", "paused", "timed_out", "fenced")},
    "drained": {},
}
_optional: Final[dict[str, _Check]] = {
    "entry": _is_entry,
    "idempotencyKey": _is_text,
    "budgetMicroCredits": _is_count,
    "overrides": lambda value: isinstance(value, dict),
    "simulate": lambda value: isinstance(value, bool),
    "recordings": lambda value: isinstance(value, list),
}


_MESSAGE_LIMIT_BYTES = 24 * 1024 * 1024
"""No message with two values of the largest size is longer; an engine hangs up on frames of 64 MiB."""


def text_of(message: WorkerMessage) -> str:
    """A message as it is sent.

    Raises OmiumError `payload_too_large` for one that no engine would take: sent, it would end the connection, and with it
    all runs of the worker.
    """
    text = dumps(message)
    # a character takes at most four bytes
    if len(text) * 4 > _MESSAGE_LIMIT_BYTES and len(text.encode()) > _MESSAGE_LIMIT_BYTES:
        what = {
            "step_completed": f'the result of step "{message.get("path")}"',
            "complete": "the output of the run",
        }.get(message["type"], f"a {message['type']}")
        limit = f"more than {_MESSAGE_LIMIT_BYTES // 2**20} MiB"
        raise OmiumError(
            "payload_too_large",
            f"{what} is too large: {limit}; keep it in a file or an object store, and return where it is",
        )
    return text


def refusal_of(message: WorkerMessage, error: OmiumError) -> EngineMessage | None:
    """What an engine would answer to a request that it can't even be sent; None for what is no request."""
    if "seq" not in message:
        return None
    return {
        "type": "nack",
        "executionId": message["executionId"],
        "attempt": message["attempt"],
        "seq": message["seq"],
        "error": error.to_failure(),
    }


def parse_frame(text: str | bytes) -> list[EngineMessage]:
    """The messages of a frame. Raises OmiumError `protocol_violation` when it is not what the protocol allows."""
    try:
        frame: object = json.loads(text)
    except ValueError as cause:
        raise OmiumError("protocol_violation", "the engine sent a frame that is not JSON", cause=cause) from cause
    if not isinstance(frame, list):
        raise OmiumError("protocol_violation", "the engine sent a frame that is not an array")
    messages = cast("list[object]", frame)
    for message in messages:
        fields = cast("dict[str, object]", message) if isinstance(message, dict) else {}
        kind = fields.get("type")
        required = _required.get(kind) if isinstance(kind, str) else None
        fits = (
            required is not None
            and all(name in fields and check(fields[name]) for name, check in required.items())
            and all(check(fields[name]) for name, check in _optional.items() if name in fields)
        )
        if not fits:
            raise OmiumError("protocol_violation", f"the engine sent a message of type {kind!r} that does not fit")
    return cast("list[EngineMessage]", messages)
