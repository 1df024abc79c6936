"""A LangGraph checkpointer on Omium: `graph.compile(checkpointer=OmiumCheckpointSaver())`.

1. What a method returned from is durable: it is on the log, and its state is in object storage.
2. A checkpoint is stored whole, under LangGraph's own id; it never changes. Its state is verified on every read: when the
   latest one is damaged, the newest intact one before it is given, with a warning; one that is asked for by id raises
   `checkpoint_corrupt`.
3. Reads see every write that this saver has made before.
4. Thread ids may be any text. Metadata is found by equality of its plain members.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
import random
import re
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from ..client import AsyncClient, Client
from ..client import checkpoints as calls
from ..client.api import Api, Flow
from ..client.checkpoints import Bytes, CheckpointDetail, CheckpointView, NewCheckpoint, Receipt, Scalar, Writes
from ..errors import OmiumError
from ..json import JsonValue, dumps

_log = logging.getLogger("omium.langgraph")

_FORMAT = "langgraph:"
_plain = re.compile(r"[A-Za-z0-9._-]{1,120}")
# what a hashed thread id stands for, among the metadata that lists show
_THREAD_ID = "omium.thread_id"
_MAX_INDEXED_TEXT = 4000
_MAX_INDEXED_NAME = 200
_PAGE = 100
_DELETED_AT_ONCE = 1000
_POSITIONS_KEPT = 10_000


def thread_of(thread_id: str) -> str:
    """The platform's name of a LangGraph thread: another for each, and none that a run's own thread could have."""
    if _plain.fullmatch(thread_id):
        return f"lg.{thread_id}"
    return f"lgx.{hashlib.sha256(thread_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


class OmiumCheckpointSaver(BaseCheckpointSaver[str]):
    """Keeps the state of LangGraph programs on Omium; see the module's docstring for what it promises.

    Unset options come from `OMIUM_URL` and `OMIUM_API_KEY`. The saver may be shared by threads and event loops.
    Raises OmiumError `settings_invalid` when there is no key, and of the platform's codes from its methods.
    """

    def __init__(
        self, *, url: str | None = None, api_key: str | None = None, serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        self._connection = {"url": url, "api_key": api_key}
        self._client = Client(url=url, api_key=api_key)
        # connections belong to the loop that opened them
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()
        self._positions: dict[str, str] = {}

    # ---- lifetime

    def close(self) -> None:
        """Gives the connections of the synchronous methods back."""
        self._client.close()

    async def aclose(self) -> None:
        """Gives the connections of this event loop back."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def __enter__(self) -> OmiumCheckpointSaver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> OmiumCheckpointSaver:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _async(self) -> AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = AsyncClient(**self._connection)
        return client

    # ---- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._client.drive(self._get(self._client.api, config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        client = self._async()
        return await client.drive(self._get(client.api, config))

    def _get(self, api: Api, config: RunnableConfig) -> Flow[CheckpointTuple | None]:
        thread_id, namespace = _place(config)
        thread = thread_of(thread_id)
        asked = get_checkpoint_id(config)
        detail = yield from calls.get(
            api,
            thread,
            asked or "latest",
            namespace,
            position=self._positions.get(thread),
            by_id=asked is None,
        )
        if detail is None or not detail["format"].startswith(_FORMAT):
            return None
        if "insteadOf" in detail:
            _log.warning(
                "checkpoint %s of thread %s is damaged; going on from the older %s",
                detail["insteadOf"],
                thread_id,
                detail["id"],
            )
        return self._tuple(thread_id, detail)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        flows = self._found(self._client.api, config, filter, before, limit)
        while (found := self._client.drive(_next(flows))) is not None:
            yield from found

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        client = self._async()
        flows = self._found(client.api, config, filter, before, limit)
        while (found := await client.drive(_next(flows))) is not None:
            for one in found:
                yield one

    def _found(
        self,
        api: Api,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Iterator[Flow[Sequence[CheckpointTuple]]]:
        """One flow after the other, each of which gives what comes next in the list."""
        left = math.inf if limit is None else limit
        state = _Listing(left)
        query = self._query(config, filter, before)
        while state.more and state.left > 0:
            yield self._next_page(api, query, filter or {}, state)

    def _next_page(
        self, api: Api, query: dict[str, str | int | None], filter: dict[str, Any], state: _Listing
    ) -> Flow[Sequence[CheckpointTuple]]:
        limit = int(min(_PAGE, state.left))
        items, state.cursor = yield from calls.page(api, {**query, "limit": limit, "cursor": state.cursor})
        state.more = state.cursor is not None
        found: list[CheckpointTuple] = []
        for item in items:
            if state.left <= 0 or not item["format"].startswith(_FORMAT):
                continue
            try:
                detail = yield from calls.get(api, item["thread"], item["id"], item["namespace"], position=None)
            except OmiumError as error:
                if error.code != "checkpoint_corrupt":
                    raise
                _log.warning("a damaged checkpoint is left out of the list: %s", error)
                continue
            if detail is None:
                continue
            one = self._tuple(_thread_id_of(item), detail)
            metadata = cast("dict[str, Any]", one.metadata)
            if all(metadata.get(name) == value for name, value in filter.items()):
                found.append(one)
                state.left -= 1
        return found

    def _query(
        self, config: RunnableConfig | None, filter: dict[str, Any] | None, before: RunnableConfig | None
    ) -> dict[str, str | int | None]:
        query: dict[str, str | int | None] = {"order": "id", "kind": "state"}
        if config is not None:
            configurable = config.get("configurable", {})
            thread = thread_of(str(configurable["thread_id"]))
            query["thread"] = thread
            query["min_position"] = self._positions.get(thread)
            query["namespace"] = configurable.get("checkpoint_ns")
            query["id"] = get_checkpoint_id(config)
        if before is not None:
            query["before"] = get_checkpoint_id(before)
        searched = {name: value for name, value in _indexed(filter or {}).items() if value is not None}
        if searched:
            query["metadata"] = _json(searched)
        return query

    def _tuple(self, thread_id: str, detail: CheckpointDetail) -> CheckpointTuple:
        stored = self._loads(detail["state"])
        return CheckpointTuple(
            config=_config(thread_id, detail["namespace"], detail["id"]),
            checkpoint=cast(Checkpoint, stored["checkpoint"]),
            metadata=cast(CheckpointMetadata, stored["metadata"]),
            parent_config=_config(thread_id, detail["namespace"], detail["parent"]) if "parent" in detail else None,
            pending_writes=self._pending(detail["writes"]),
        )

    def _pending(self, batches: Sequence[Writes]) -> list[PendingWrite]:
        """In the order in which they are applied. Of one task and index the first counts, when it is negative the last."""
        written: dict[tuple[str, str, int], PendingWrite] = {}
        paths: dict[tuple[str, int], tuple[str, str, int]] = {}
        for batch in batches:
            values = cast("list[Any]", self._loads(batch["state"]))
            for write, value in zip(batch["writes"], values, strict=True):
                slot = (batch["taskId"], write["index"])
                if slot in paths:
                    if write["index"] >= 0:
                        continue
                    del written[paths[slot]]
                key = writes_sort_key(batch["taskPath"], *slot)
                paths[slot] = key
                written[key] = (batch["taskId"], write["channel"], value)
        return [written[key] for key in sorted(written)]

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._client.drive(self._put(self._client.api, config, checkpoint, metadata))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        client = self._async()
        return await client.drive(self._put(client.api, config, checkpoint, metadata))

    def _put(
        self, api: Api, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Flow[RunnableConfig]:
        thread_id, namespace = _place(config)
        full = cast("dict[str, Any]", get_serializable_checkpoint_metadata(config, metadata))
        body: NewCheckpoint = {
            "thread": thread_of(thread_id),
            "id": checkpoint["id"],
            "namespace": namespace,
            "metadata": _indexed(full) | _named(thread_id),
            "state": self._dumps({"checkpoint": checkpoint, "metadata": full}),
        }
        parent = get_checkpoint_id(config)
        if parent is not None:
            body["parent"] = parent
            # a channel that is kept as differences has no value here: it is put together from those before
            if any(
                name not in checkpoint["channel_values"] for name in full.get("counters_since_delta_snapshot") or ()
            ):
                body["needsParent"] = True
        self._remember((yield from calls.create(api, body)))
        return _config(thread_id, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._client.drive(self._put_writes(self._client.api, config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        client = self._async()
        await client.drive(self._put_writes(client.api, config, writes, task_id, task_path))

    def _put_writes(
        self, api: Api, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Flow[None]:
        thread_id, namespace = _place(config)
        batch: Writes = {
            "taskId": task_id,
            "taskPath": task_path,
            "writes": [
                {"index": WRITES_IDX_MAP.get(channel, index), "channel": channel}
                for index, (channel, _) in enumerate(writes)
            ],
            "state": self._dumps([value for _, value in writes]),
        }
        checkpoint = str(config.get("configurable", {})["checkpoint_id"])
        self._remember((yield from calls.add_writes(api, thread_of(thread_id), checkpoint, namespace, batch)))

    # ---- deleting, copying, pruning

    def delete_thread(self, thread_id: str) -> None:
        self._client.drive(self._delete_thread(self._client.api, thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        client = self._async()
        await client.drive(self._delete_thread(client.api, thread_id))

    def _delete_thread(self, api: Api, thread_id: str) -> Flow[None]:
        self._remember((yield from calls.delete_thread(api, thread_of(str(thread_id)))))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._client.drive(self._delete_for_runs(self._client.api, run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        client = self._async()
        await client.drive(self._delete_for_runs(client.api, run_ids))

    def _delete_for_runs(self, api: Api, run_ids: Sequence[str]) -> Flow[None]:
        """Raises OmiumError `checkpoint_needed` rather than take from under another checkpoint what it builds on."""
        threads: dict[str, list[CheckpointView]] = {}
        for run_id in run_ids:
            query: dict[str, str | int | None] = {"metadata": _json({"run_id": run_id})}
            for item in (yield from self._all(api, query)):
                threads.setdefault(item["thread"], []).append(item)
        for thread, items in threads.items():
            yield from self._delete(api, thread, items)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._client.drive(self._copy_thread(self._client.api, source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        client = self._async()
        await client.drive(self._copy_thread(client.api, source_thread_id, target_thread_id))

    def _copy_thread(self, api: Api, source_thread_id: str, target_thread_id: str) -> Flow[None]:
        source, target = thread_of(str(source_thread_id)), thread_of(str(target_thread_id))
        items = yield from self._all(api, {"thread": source, "min_position": self._positions.get(source)})
        for item in reversed(items):
            detail = yield from calls.get(api, source, item["id"], item["namespace"], position=None)
            if detail is None:
                continue
            metadata = {name: value for name, value in detail["metadata"].items() if name != _THREAD_ID}
            body: NewCheckpoint = {
                "thread": target,
                "id": detail["id"],
                "namespace": detail["namespace"],
                "metadata": metadata | _named(str(target_thread_id)),
                "state": detail["state"],
                "needsParent": detail["needsParent"],
            }
            if "parent" in detail:
                body["parent"] = detail["parent"]
            self._remember((yield from calls.create(api, body)))
            for batch in detail["writes"]:
                self._remember((yield from calls.add_writes(api, target, detail["id"], detail["namespace"], batch)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._client.drive(self._prune(self._client.api, thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        client = self._async()
        await client.drive(self._prune(client.api, thread_ids, strategy))

    def _prune(self, api: Api, thread_ids: Sequence[str], strategy: str) -> Flow[None]:
        """Keeps the latest of each namespace, with those that it builds on."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"there is no strategy {strategy!r}: use 'keep_latest' or 'delete'")
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self._delete_thread(api, thread_id)
                continue
            thread = thread_of(str(thread_id))
            items = yield from self._all(api, {"thread": thread, "min_position": self._positions.get(thread)})
            by_place = {(item["namespace"], item["id"]): item for item in items}
            kept: set[tuple[str, str]] = set()
            for namespace in {item["namespace"] for item in items}:
                line = [i for i in items if i["namespace"] == namespace and i["status"] != "superseded"]
                one: CheckpointView | None = max(line, key=lambda item: item["id"], default=None)
                while one is not None:
                    kept.add((namespace, one["id"]))
                    one = by_place.get((namespace, one["parent"])) if one["needsParent"] and "parent" in one else None
            yield from self._delete(api, thread, [item for place, item in by_place.items() if place not in kept])

    def _all(self, api: Api, query: dict[str, str | int | None]) -> Flow[list[CheckpointView]]:
        """Every checkpoint of LangGraph that fits, newest first."""
        items: list[CheckpointView] = []
        cursor: str | None = None
        while True:
            found, cursor = yield from calls.page(api, {**query, "kind": "state", "limit": _PAGE, "cursor": cursor})
            items.extend(item for item in found if item["format"].startswith(_FORMAT))
            if cursor is None:
                return items

    def _delete(self, api: Api, thread: str, items: Sequence[CheckpointView]) -> Flow[None]:
        # newest first, so that none goes before what builds on it
        for start in range(0, len(items), _DELETED_AT_ONCE):
            which = [(item["namespace"], item["id"]) for item in items[start : start + _DELETED_AT_ONCE]]
            self._remember((yield from calls.delete(api, thread, which)))

    async def astored(self, thread_id: str) -> set[tuple[str, str]]:
        """(namespace, id) of every checkpoint of a thread, without reading any state."""
        client = self._async()
        query: dict[str, str | int | None] = {"thread": thread_of(thread_id)}
        items = await client.drive(self._all(client.api, query))
        return {(item["namespace"], item["id"]) for item in items}

    # ---- versions and bytes

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Grows with every call; the fraction tells versions apart that two branches of a thread come to."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"

    def _dumps(self, value: object) -> Bytes:
        kind, body = self.serde.dumps_typed(value)
        return {"format": f"{_FORMAT}{kind}", "base64": base64.b64encode(body).decode("ascii")}

    def _loads(self, state: Bytes) -> Any:
        return self.serde.loads_typed((state["format"].removeprefix(_FORMAT), base64.b64decode(state["base64"])))

    def _remember(self, receipt: Receipt) -> None:
        """Up to where reads of the thread have to be current, also when another gateway answers them."""
        thread = receipt["thread"]
        self._positions.pop(thread, None)
        self._positions[thread] = receipt["position"]
        if len(self._positions) > _POSITIONS_KEPT:
            self._positions.pop(next(iter(self._positions)), None)


class _Listing:
    def __init__(self, left: float) -> None:
        self.left = left
        self.more = True
        self.cursor: str | None = None


def _next(
    flows: Iterator[Flow[Sequence[CheckpointTuple]]],
) -> Generator[Any, Any, Sequence[CheckpointTuple] | None]:
    flow = next(flows, None)
    return None if flow is None else (yield from flow)


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config.get("configurable", {})
    return str(configurable["thread_id"]), str(configurable.get("checkpoint_ns") or "")


def _config(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id},
    }


def _thread_id_of(item: CheckpointView) -> str:
    if item["thread"].startswith("lg."):
        return item["thread"].removeprefix("lg.")
    return str(item["metadata"].get(_THREAD_ID, item["thread"]))


def _named(thread_id: str) -> dict[str, Scalar]:
    return {} if _plain.fullmatch(thread_id) else {_THREAD_ID: thread_id}


def _indexed(metadata: dict[str, Any]) -> dict[str, Scalar]:
    """The members that lists are searched by: plain, short, and such that JSON can carry them."""
    return {name: value for name, value in metadata.items() if len(name) <= _MAX_INDEXED_NAME and _is_plain(value)}


def _is_plain(value: object) -> bool:
    match value:
        case None | bool() | int():
            return True
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= _MAX_INDEXED_TEXT and "\0" not in value
        case _:
            return False


def _json(value: Mapping[str, Scalar]) -> str:
    return dumps(cast(JsonValue, value))
