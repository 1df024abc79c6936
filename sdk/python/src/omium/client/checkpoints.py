"""Calls about checkpoints, states that outlive programs; see `schemas/src/api/checkpoints.ts` for the shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from ..errors import OmiumError
from ..ids import new_id
from ..json import JsonValue, dumps, plain_json
from .flows import Calls, Composing, Flow, HttpRequest, Items, call, given, items, pages, segment

# states of 50 MiB, in base64, over a slow line
_USUAL_TIMEOUT_S = 120.0

Scalar: TypeAlias = str | int | float | bool | None
CheckpointKind: TypeAlias = Literal["state", "run"]
"""`state`: what a program or a framework gave; `run`: the folded journal of a run."""


class Bytes(TypedDict):
    """A state in a format that its program knows."""

    format: str
    base64: str


class Json(TypedDict):
    """A state that is plain JSON."""

    json: JsonValue


class ThreadReceipt(TypedDict):
    """Answer of a write; `position` is of the checkpoint events topic."""

    thread: str
    position: str
    deduplicated: bool


class CheckpointReceipt(ThreadReceipt):
    checkpoint: str


class RollbackReply(TypedDict):
    thread: str
    checkpoint: str
    position: str
    """of the checkpoint events, or of the execution's when a run was rolled back"""
    execution: NotRequired[str]


class CheckpointVerdict(TypedDict):
    intact: bool
    found: NotRequired[Literal["missing", "damaged"]]
    rebuilt: bool
    """the state could be made again from the log"""


class Retention(TypedDict, total=False):
    """What a thread keeps. Pinned checkpoints, the newest of each namespace, and what those build on, always stay."""

    keepLast: int
    """of each namespace"""
    maxAgeMs: int


class RunPoint(TypedDict):
    """The moment of a run that a checkpoint shows."""

    executionId: str
    version: int
    path: NotRequired[str]


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
    kind: CheckpointKind
    status: Literal["intact", "corrupted", "superseded"]
    format: str
    bytes: int
    sha256: str
    label: NotRequired[str]
    metadata: dict[str, Scalar]
    point: NotRequired[RunPoint]
    pins: list[str]
    createdAt: str
    version: int
    position: str


class CheckpointDetail(CheckpointView):
    state: Bytes | Json
    writes: list[Writes]
    insteadOf: NotRequired[str]
    """the newest was damaged: this is an older one, given instead"""


class NewCheckpoint(TypedDict):
    thread: str
    id: str
    namespace: str
    state: Bytes | Json
    metadata: dict[str, Scalar]
    label: NotRequired[str]
    parent: NotRequired[str]
    needsParent: NotRequired[bool]


class CheckpointCalls(Calls):
    """States that outlive programs. A checkpoint is named by its thread, namespace and id."""

    @call
    def create(
        self,
        thread: str,
        state: object,
        *,
        id: str | None = None,
        namespace: str = "",
        parent: str | None = None,
        label: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
    ) -> Flow[CheckpointReceipt]:
        """Stores plain JSON; the same id and state make one checkpoint, however often they are sent.

        Raises OmiumError `checkpoint_conflict` when the id exists with another state, `payload_too_large`.
        """
        return self._post(
            "/v1/checkpoints",
            {
                "thread": thread,
                "id": id or new_id("chk"),
                "namespace": namespace,
                "state": {"json": plain_json(state, "the state")},
                **given(parent=parent, label=label, metadata=metadata),
            },
        )

    @call
    def store(self, checkpoint: NewCheckpoint) -> Flow[CheckpointReceipt]:
        """As `create`, of a state in any format."""
        return self._post("/v1/checkpoints", checkpoint)

    @call
    def add_writes(self, thread: str, id: str, writes: Writes, *, namespace: str = "") -> Flow[CheckpointReceipt]:
        """What a task wrote on top of a checkpoint, which may itself come later."""
        return self._post(f"{_path(thread, id)}/writes", writes, namespace)

    @items
    def list(
        self,
        *,
        thread: str | None = None,
        namespace: str | None = None,
        id: str | None = None,
        kind: CheckpointKind | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        order: Literal["created", "id"] | None = None,
        before: str | None = None,
        min_position: str | None = None,
        page_size: int = 50,
    ) -> Items[CheckpointView]:
        """All that fit, without their states, fetched page by page: newest first, or greatest id first.

        A run's own checkpoints are in the thread with its id. `metadata`: each member has to be equal. `before`: with
        `order="id"`, only smaller ids.
        """
        query = {
            "thread": thread,
            "namespace": namespace,
            "id": id,
            "kind": kind,
            "metadata": dumps(metadata) if metadata else None,
            "order": order,
            "before": before,
            "min_position": min_position,
            "limit": page_size,
        }
        return pages(self._api, "/v1/checkpoints", query)

    @call
    def get(self, thread: str, id: str = "latest", *, namespace: str = "") -> Flow[CheckpointDetail]:
        """`latest` is the newest one that is intact. Raises OmiumError `checkpoint_unknown`, `checkpoint_corrupt`."""
        return self._get(thread, id, {"namespace": namespace})

    @call
    def find(
        self, thread: str, id: str, *, namespace: str, min_position: str | None, by_id: bool = False
    ) -> Flow[CheckpointDetail | None]:
        """As `get`, None when there is none; `by_id`: `latest` is the one with the greatest id."""
        query = {"namespace": namespace, "min_position": min_position, "order": "id" if by_id else None}
        try:
            return (yield from self._get(thread, id, query))
        except OmiumError as error:
            if error.code == "checkpoint_unknown":
                return None
            raise

    @call
    def verify(self, thread: str, id: str, *, namespace: str = "") -> Flow[CheckpointVerdict]:
        """Reads what is stored and says whether it is what was stored."""
        return self._post(f"{_path(thread, id)}/verify", {}, namespace)

    @call
    def rollback(self, thread: str, id: str, *, namespace: str = "", reason: str | None = None) -> Flow[RollbackReply]:
        """A run goes on from there; newer checkpoints are superseded."""
        return self._post(f"{_path(thread, id)}/rollback", given(reason=reason), namespace)

    @call
    def pin(self, thread: str, id: str, holder: str, *, namespace: str = "") -> Flow[CheckpointReceipt]:
        """Keeps it for somebody who needs it."""
        return self._post(f"{_path(thread, id)}/pin", {"holder": holder}, namespace)

    @call
    def unpin(self, thread: str, id: str, holder: str, *, namespace: str = "") -> Flow[CheckpointReceipt]:
        return self._post(f"{_path(thread, id)}/unpin", {"holder": holder}, namespace)

    @call
    def retention(self, thread: str) -> Flow[Retention]:
        """What a thread keeps."""
        answer = yield from self._api.json(HttpRequest("GET", f"{_thread(thread)}/retention"))
        return answer["retention"]

    @call
    def set_retention(self, thread: str, retention: Retention) -> Flow[ThreadReceipt]:
        body = plain_json(retention, "the retention")
        return self._api.json(HttpRequest("PUT", f"{_thread(thread)}/retention", body))

    @call
    def delete(self, thread: str, which: Sequence[tuple[str, str]]) -> Flow[ThreadReceipt]:
        """Deletes (namespace, id) pairs of a thread. Raises OmiumError `checkpoint_needed` when something builds on one."""
        refs = [{"namespace": namespace, "id": id} for namespace, id in which]
        return self._post(f"{_thread(thread)}/delete", {"checkpoints": refs})

    @call
    def delete_thread(self, thread: str) -> Flow[ThreadReceipt]:
        """Deletes a thread with all its checkpoints."""
        return self._api.json(HttpRequest("DELETE", _thread(thread), usual_timeout_s=_USUAL_TIMEOUT_S))

    def _get(self, thread: str, id: str, query: Mapping[str, str | None]) -> Flow[CheckpointDetail]:
        return self._api.json(HttpRequest("GET", _path(thread, id), query=query, usual_timeout_s=_USUAL_TIMEOUT_S))

    def _post(self, path: str, body: object, namespace: str | None = None) -> Flow[Any]:
        # states are plain by their types, and too large to be gone through
        query = {"namespace": namespace}
        return self._api.json(HttpRequest("POST", path, cast(JsonValue, body), query, usual_timeout_s=_USUAL_TIMEOUT_S))


class CheckpointFlows(CheckpointCalls, Composing):
    """For flows that are made of several calls."""


def _path(thread: str, id: str) -> str:
    return f"/v1/checkpoints/{segment(thread)}/{segment(id)}"


def _thread(thread: str) -> str:
    return f"/v1/threads/{segment(thread)}"
