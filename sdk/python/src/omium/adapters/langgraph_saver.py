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
from collections.abc import AsyncIterator, Iterator, Sequence
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

from ..client.checkpoints import (
    Bytes,
    CheckpointDetail,
    CheckpointFlows,
    CheckpointView,
    Json,
    NewCheckpoint,
    Scalar,
    ThreadReceipt,
    Writes,
)
from ..client.flows import Flow, Give, Items, collected, following
from ..client.http import Http
from ..client.transports import AsyncTransport, NoTransport, SyncTransport
from ..errors import OmiumError
from ..settings import connection

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
        self._api = Http(connection(url, api_key))
        self._calls = CheckpointFlows(NoTransport(self._api))
        self._sync = SyncTransport(self._api)
        # connections belong to the loop that opened them
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncTransport] = WeakKeyDictionary()
        self._positions: dict[str, str] = {}

    # ---- lifetime

    def close(self) -> None:
        """Gives the connections of the synchronous methods back."""
        self._sync.close()

    async def aclose(self) -> None:
        """Gives the connections of this event loop back."""
        transport = self._loops.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.close()

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

    @property
    def _async(self) -> AsyncTransport:
        loop = asyncio.get_running_loop()
        transport = self._loops.get(loop)
        if transport is None:
            transport = self._loops[loop] = AsyncTransport(self._api)
        return transport

    # ---- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._sync.drive(self._get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._async.drive(self._get(config))

    def _get(self, config: RunnableConfig) -> Flow[CheckpointTuple | None]:
        thread_id, namespace = _place(config)
        thread = thread_of(thread_id)
        asked = get_checkpoint_id(config)
        detail = yield from self._calls.find(
            thread,
            asked or "latest",
            namespace=namespace,
            min_position=self._positions.get(thread),
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
        return self._sync.iterate(self._found(config, filter, before, limit))

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        return self._async.iterate(self._found(config, filter, before, limit))

    def _found(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Items[CheckpointTuple]:
        left = math.inf if limit is None else limit
        wanted = filter or {}
        listed = self._listed(page_size=max(1, int(min(_PAGE, left))), **self._query(config, wanted, before))
        while left > 0 and (item := (yield from following(listed))) is not None:
            try:
                detail = yield from self._read(item)
            except OmiumError as error:
                if error.code != "checkpoint_corrupt":
                    raise
                _log.warning("a damaged checkpoint is left out of the list: %s", error)
                continue
            if detail is None:
                continue
            one = self._tuple(_thread_id_of(item), detail)
            metadata = cast("dict[str, Any]", one.metadata)
            if all(metadata.get(name) == value for name, value in wanted.items()):
                left -= 1
                yield Give(one)

    def _listed(self, *, page_size: int = _PAGE, **query: Any) -> Items[CheckpointView]:
        """Every checkpoint of LangGraph that fits, newest first."""
        listed = self._calls.list(kind="state", page_size=page_size, **query)
        while (item := (yield from following(listed))) is not None:
            if item["format"].startswith(_FORMAT):
                yield Give(item)

    def _of_thread(self, thread: str) -> Flow[Sequence[CheckpointView]]:
        return (yield from collected(self._listed(thread=thread, min_position=self._positions.get(thread))))

    def _read(self, item: CheckpointView) -> Flow[CheckpointDetail | None]:
        return self._calls.find(item["thread"], item["id"], namespace=item["namespace"], min_position=None)

    def _query(
        self, config: RunnableConfig | None, filter: dict[str, Any], before: RunnableConfig | None
    ) -> dict[str, Any]:
        query: dict[str, Any] = {"order": "id"}
        if config is not None:
            configurable = config.get("configurable", {})
            thread = thread_of(str(configurable["thread_id"]))
            query["thread"] = thread
            query["min_position"] = self._positions.get(thread)
            query["namespace"] = configurable.get("checkpoint_ns")
            query["id"] = get_checkpoint_id(config)
        if before is not None:
            query["before"] = get_checkpoint_id(before)
        query["metadata"] = {name: value for name, value in _indexed(filter).items() if value is not None}
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
        return self._sync.drive(self._put(config, checkpoint, metadata))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._async.drive(self._put(config, checkpoint, metadata))

    def _put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
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
        self._remember((yield from self._calls.store(body)))
        return _config(thread_id, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._sync.drive(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._async.drive(self._put_writes(config, writes, task_id, task_path))

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
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
        added = yield from self._calls.add_writes(thread_of(thread_id), checkpoint, batch, namespace=namespace)
        self._remember(added)

    # ---- deleting, copying, pruning

    def delete_thread(self, thread_id: str) -> None:
        self._sync.drive(self._delete_thread(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._async.drive(self._delete_thread(thread_id))

    def _delete_thread(self, thread_id: str) -> Flow[None]:
        self._remember((yield from self._calls.delete_thread(thread_of(str(thread_id)))))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._sync.drive(self._delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._async.drive(self._delete_for_runs(run_ids))

    def _delete_for_runs(self, run_ids: Sequence[str]) -> Flow[None]:
        """Raises OmiumError `checkpoint_needed` rather than take from under another checkpoint what it builds on."""
        threads: dict[str, list[CheckpointView]] = {}
        for run_id in run_ids:
            for item in (yield from collected(self._listed(metadata={"run_id": run_id}))):
                threads.setdefault(item["thread"], []).append(item)
        for thread, items in threads.items():
            yield from self._delete(thread, items)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._sync.drive(self._copy_thread(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._async.drive(self._copy_thread(source_thread_id, target_thread_id))

    def _copy_thread(self, source_thread_id: str, target_thread_id: str) -> Flow[None]:
        source, target = thread_of(str(source_thread_id)), thread_of(str(target_thread_id))
        for item in reversed((yield from self._of_thread(source))):
            detail = yield from self._read(item)
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
            self._remember((yield from self._calls.store(body)))
            for batch in detail["writes"]:
                added = yield from self._calls.add_writes(target, detail["id"], batch, namespace=detail["namespace"])
                self._remember(added)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._sync.drive(self._prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._async.drive(self._prune(thread_ids, strategy))

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Flow[None]:
        """Keeps the latest of each namespace, with those that it builds on."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"there is no strategy {strategy!r}: use 'keep_latest' or 'delete'")
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self._delete_thread(thread_id)
                continue
            thread = thread_of(str(thread_id))
            items = yield from self._of_thread(thread)
            by_place = {(item["namespace"], item["id"]): item for item in items}
            kept: set[tuple[str, str]] = set()
            for namespace in {item["namespace"] for item in items}:
                line = [i for i in items if i["namespace"] == namespace and i["status"] != "superseded"]
                one: CheckpointView | None = max(line, key=lambda item: item["id"], default=None)
                while one is not None:
                    kept.add((namespace, one["id"]))
                    one = by_place.get((namespace, one["parent"])) if one["needsParent"] and "parent" in one else None
            yield from self._delete(thread, [item for place, item in by_place.items() if place not in kept])

    def _delete(self, thread: str, items: Sequence[CheckpointView]) -> Flow[None]:
        # newest first, so that none goes before what builds on it
        for start in range(0, len(items), _DELETED_AT_ONCE):
            which = [(item["namespace"], item["id"]) for item in items[start : start + _DELETED_AT_ONCE]]
            self._remember((yield from self._calls.delete(thread, which)))

    async def astored(self, thread_id: str) -> set[tuple[str, str]]:
        """(namespace, id) of every checkpoint of a thread, without reading any state."""
        items = await self._async.drive(collected(self._listed(thread=thread_of(thread_id))))
        return {(item["namespace"], item["id"]) for item in items}

    # ---- versions and bytes

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Grows with every call; the fraction tells versions apart that two branches of a thread come to."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"

    def _dumps(self, value: object) -> Bytes:
        kind, body = self.serde.dumps_typed(value)
        return {"format": f"{_FORMAT}{kind}", "base64": base64.b64encode(body).decode("ascii")}

    def _loads(self, stored: Bytes | Json) -> Any:
        # only this saver's own format is read
        state = cast(Bytes, stored)
        return self.serde.loads_typed((state["format"].removeprefix(_FORMAT), base64.b64decode(state["base64"])))

    def _remember(self, receipt: ThreadReceipt) -> None:
        """Up to where reads of the thread have to be current, also when another gateway answers them."""
        thread = receipt["thread"]
        self._positions.pop(thread, None)
        self._positions[thread] = receipt["position"]
        if len(self._positions) > _POSITIONS_KEPT:
            self._positions.pop(next(iter(self._positions)), None)


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
