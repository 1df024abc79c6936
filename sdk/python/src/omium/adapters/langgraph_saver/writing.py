"""What is asked of the platform to store, copy and delete checkpoints."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)

from ...client.checkpoints import Bytes, CheckpointView, NewCheckpoint, Writes
from ...client.flows import Flow, collected
from .naming import FORMAT, config_of, indexed, named, place_of, renamed, thread_of
from .reading import Reading

_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class Writing(Reading):
    """The flows of one call of the saver; each is driven by a transport."""

    def put(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> Flow[RunnableConfig]:
        thread_id, namespace = place_of(config)
        full = cast("dict[str, Any]", get_serializable_checkpoint_metadata(config, metadata))
        body: NewCheckpoint = {
            "thread": thread_of(thread_id),
            "id": checkpoint["id"],
            "namespace": namespace,
            "metadata": indexed(full) | named(thread_id),
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
        self.positions.remember((yield from self.calls.store(body)))
        return config_of(thread_id, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Flow[None]:
        thread_id, namespace = place_of(config)
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
        stored = self.calls.add_writes(thread_of(thread_id), checkpoint, batch, namespace=namespace)
        self.positions.remember((yield from stored))

    def delete_thread(self, thread_id: str) -> Flow[None]:
        """Raises OmiumError `checkpoint_needed` while somebody pins one of its checkpoints."""
        self.positions.remember((yield from self.calls.delete_thread(thread_of(str(thread_id)))))

    def delete_for_runs(self, run_ids: Sequence[str]) -> Flow[None]:
        """Raises OmiumError `checkpoint_needed` rather than take from under another checkpoint what it builds on."""
        threads: dict[str, list[CheckpointView]] = {}
        for run_id in run_ids:
            for item in (yield from collected(self.listed(metadata={"run_id": run_id}))):
                threads.setdefault(item["thread"], []).append(item)
        for thread, items in threads.items():
            yield from self._delete(thread, items)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> Flow[None]:
        """Copies what stands, oldest first, and of what the thread was rolled back behind only what that builds on."""
        source, target = thread_of(str(source_thread_id)), thread_of(str(target_thread_id))
        items = yield from self.all_of(source)
        kept = _with_ancestors(items, [item for item in items if item["status"] != "superseded"])
        for item in reversed(items):
            if _place(item) not in kept:
                continue
            detail = yield from self.read(item)
            if detail is None:
                continue
            body: NewCheckpoint = {
                "thread": target,
                "id": detail["id"],
                "namespace": detail["namespace"],
                "metadata": renamed(detail["metadata"], str(target_thread_id)),
                "state": detail["state"],
                "needsParent": detail["needsParent"],
            }
            if "parent" in detail:
                body["parent"] = detail["parent"]
            self.positions.remember((yield from self.calls.store(body)))
            for batch in detail["writes"]:
                stored = self.calls.add_writes(target, detail["id"], batch, namespace=detail["namespace"])
                self.positions.remember((yield from stored))

    def prune(self, thread_ids: Sequence[str], strategy: str) -> Flow[None]:
        """Keeps the latest of each namespace that is intact, with those that it builds on."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"there is no strategy {strategy!r}: use 'keep_latest' or 'delete'")
        for thread_id in thread_ids:
            if strategy == "delete":
                yield from self.delete_thread(thread_id)
                continue
            thread = thread_of(str(thread_id))
            items = yield from self.all_of(thread)
            latest: dict[str, CheckpointView] = {}
            for item in items:
                known = latest.get(item["namespace"])
                if item["status"] == "intact" and (known is None or known["id"] < item["id"]):
                    latest[item["namespace"]] = item
            kept = _with_ancestors(items, latest.values())
            yield from self._delete(thread, [item for item in items if _place(item) not in kept])

    def _delete(self, thread: str, items: Sequence[CheckpointView]) -> Flow[None]:
        # newest first, so that none goes before what builds on it
        for start in range(0, len(items), _DELETED_AT_ONCE):
            which = [_place(item) for item in items[start : start + _DELETED_AT_ONCE]]
            self.positions.remember((yield from self.calls.delete(thread, which)))

    def _dumps(self, value: object) -> Bytes:
        kind, body = self.serde.dumps_typed(value)
        return {"format": f"{FORMAT}{kind}", "base64": base64.b64encode(body).decode("ascii")}


def _place(item: CheckpointView) -> tuple[str, str]:
    return (item["namespace"], item["id"])


def _with_ancestors(items: Sequence[CheckpointView], kept: Iterable[CheckpointView]) -> set[tuple[str, str]]:
    """Where `kept` are, and all that they are put together from."""
    by_place = {_place(item): item for item in items}
    places: set[tuple[str, str]] = set()
    for item in kept:
        one: CheckpointView | None = item
        while one is not None and _place(one) not in places:
            places.add(_place(one))
            one = by_place.get((one["namespace"], one["parent"])) if one["needsParent"] and "parent" in one else None
    return places
