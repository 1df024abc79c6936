"""Calls about checkpoints, without I/O; see `schemas/src/api/checkpoints.ts` for the shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict, cast
from urllib.parse import quote

from ..errors import OmiumError
from ..json import JsonValue
from .api import Api, Flow, HttpRequest

# states of 50 MiB, in base64, over a slow line
_TIMEOUT_S = 120.0

Scalar = str | int | float | bool | None


class Bytes(TypedDict):
    """A state in a format that its program knows."""

    format: str
    base64: str


class Json(TypedDict):
    """A state that is plain JSON."""

    json: JsonValue


class Receipt(TypedDict):
    thread: str
    position: str
    deduplicated: bool


class PendingWrite(TypedDict):
    index: int
    channel: str


class Writes(TypedDict):
    """What a task wrote on top of a checkpoint."""

    taskId: str
    taskPath: str
    writes: list[PendingWrite]
    state: Bytes


class CheckpointView(TypedDict):
    thread: str
    id: str
    namespace: str
    parent: NotRequired[str]
    needsParent: bool
    kind: Literal["state", "run"]
    status: Literal["intact", "corrupted", "superseded"]
    format: str
    metadata: dict[str, Scalar]


class CheckpointDetail(CheckpointView):
    state: Bytes
    writes: list[Writes]
    insteadOf: NotRequired[str]


class NewCheckpoint(TypedDict):
    thread: str
    id: str
    namespace: str
    state: Bytes | Json
    metadata: dict[str, Scalar]
    label: NotRequired[str]
    parent: NotRequired[str]
    needsParent: NotRequired[bool]


def create(api: Api, checkpoint: NewCheckpoint) -> Flow[Receipt]:
    """Raises OmiumError `checkpoint_conflict` when the id exists with another state, `payload_too_large`."""
    body = cast("dict[str, JsonValue]", checkpoint)
    return _write(api, "POST", "/v1/checkpoints", body)


def add_writes(api: Api, thread: str, checkpoint: str, namespace: str, writes: Writes) -> Flow[Receipt]:
    """The checkpoint may come later than what is written on top of it."""
    body = cast("dict[str, JsonValue]", writes)
    return _write(api, "POST", f"{_path(thread, checkpoint)}/writes", body, {"namespace": namespace})


def get(
    api: Api, thread: str, checkpoint: str, namespace: str, *, position: str | None, by_id: bool = False
) -> Flow[CheckpointDetail | None]:
    """None when there is none; `latest` is the newest one. Raises OmiumError `checkpoint_corrupt`."""
    query = {"namespace": namespace, "min_position": position, "order": "id" if by_id else None}
    request = HttpRequest("GET", _path(thread, checkpoint), True, query=query, timeout_s=_TIMEOUT_S)
    try:
        return cast(CheckpointDetail, (yield from api.json(request)))
    except OmiumError as error:
        if error.code == "checkpoint_unknown":
            return None
        raise


def page(api: Api, query: Mapping[str, str | int | None]) -> Flow[tuple[list[CheckpointView], str | None]]:
    """One page of a list, and the cursor of the next."""
    answer = yield from api.json(HttpRequest("GET", "/v1/checkpoints", True, query=query))
    found = cast("dict[str, object]", answer)
    return cast("list[CheckpointView]", found["items"]), cast("str | None", found.get("nextCursor"))


def delete(api: Api, thread: str, which: Sequence[tuple[str, str]]) -> Flow[Receipt]:
    """Deletes (namespace, id) pairs of a thread. Raises OmiumError `checkpoint_needed` when something builds on one."""
    refs: list[JsonValue] = [{"namespace": namespace, "id": id} for namespace, id in which]
    return _write(api, "POST", f"/v1/threads/{quote(thread, safe='')}/delete", {"checkpoints": refs})


def delete_thread(api: Api, thread: str) -> Flow[Receipt]:
    return _write(api, "DELETE", f"/v1/threads/{quote(thread, safe='')}", {})


def _write(
    api: Api,
    method: str,
    path: str,
    body: dict[str, JsonValue],
    query: Mapping[str, str | int | None] | None = None,
) -> Flow[Receipt]:
    # all of them change nothing when they come again
    request = HttpRequest(method, path, True, body, query or {}, _TIMEOUT_S)
    return cast(Receipt, (yield from api.json(request)))


def _path(thread: str, checkpoint: str) -> str:
    return f"/v1/checkpoints/{quote(thread, safe='')}/{quote(checkpoint, safe='')}"
