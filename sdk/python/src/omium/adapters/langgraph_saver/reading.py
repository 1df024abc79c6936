"""What is asked of the platform to read checkpoints, and what its answers are to LangGraph."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from ...client import checkpoints as calls
from ...client.api import Api, Flow
from ...client.checkpoints import Bytes, CheckpointDetail, CheckpointView, Writes
from ...errors import OmiumError
from .naming import FORMAT, config_of, indexed, json_of, place_of, thread_id_of, thread_of
from .positions import Positions

_log = logging.getLogger("omium.langgraph")

_PAGE = 100


@dataclass(frozen=True)
class Reading:
    """The flows of one call of the saver; each is driven by a client."""

    api: Api
    serde: SerializerProtocol
    positions: Positions

    def get(self, config: RunnableConfig) -> Flow[CheckpointTuple | None]:
        thread_id, namespace = place_of(config)
        thread = thread_of(thread_id)
        asked = get_checkpoint_id(config)
        detail = yield from calls.get(
            self.api,
            thread,
            asked or "latest",
            namespace,
            position=self.positions.of(thread),
            by_id=asked is None,
        )
        if detail is None or not detail["format"].startswith(FORMAT):
            return None
        if "insteadOf" in detail:
            _log.warning(
                "checkpoint %s of thread %s is damaged; going on from the older %s",
                detail["insteadOf"],
                thread_id,
                detail["id"],
            )
        return self._tuple(thread_id, detail)

    def found(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Iterator[Flow[Sequence[CheckpointTuple]]]:
        """One flow after the other, each of which gives what comes next in the list."""
        state = _Listing(math.inf if limit is None else limit)
        query = self._query(config, filter, before)
        while state.more and state.left > 0:
            yield self._next_page(query, filter or {}, state)

    def all(self, query: dict[str, str | int | None]) -> Flow[list[CheckpointView]]:
        """Every checkpoint of LangGraph that fits, newest first."""
        items: list[CheckpointView] = []
        cursor: str | None = None
        while True:
            asked = {**query, "kind": "state", "limit": _PAGE, "cursor": cursor}
            found, cursor = yield from calls.page(self.api, asked)
            items.extend(item for item in found if item["format"].startswith(FORMAT))
            if cursor is None:
                return items

    def all_of(self, thread: str) -> Flow[list[CheckpointView]]:
        return (yield from self.all({"thread": thread, "min_position": self.positions.of(thread)}))

    def _next_page(
        self, query: dict[str, str | int | None], filter: dict[str, Any], state: _Listing
    ) -> Flow[Sequence[CheckpointTuple]]:
        limit = int(min(_PAGE, state.left))
        items, state.cursor = yield from calls.page(self.api, {**query, "limit": limit, "cursor": state.cursor})
        state.more = state.cursor is not None
        found: list[CheckpointTuple] = []
        for item in items:
            if state.left <= 0 or not item["format"].startswith(FORMAT):
                continue
            try:
                detail = yield from calls.get(self.api, item["thread"], item["id"], item["namespace"], position=None)
            except OmiumError as error:
                if error.code != "checkpoint_corrupt":
                    raise
                _log.warning("a damaged checkpoint is left out of the list: %s", error)
                continue
            # deleted in the meantime
            if detail is None:
                continue
            one = self._tuple(thread_id_of(item), detail)
            metadata = cast("dict[str, Any]", one.metadata)
            if all(metadata.get(name) == value for name, value in filter.items()):
                found.append(one)
                state.left -= 1
        return found

    def _query(
        self, config: RunnableConfig | None, filter: dict[str, Any] | None, before: RunnableConfig | None
    ) -> dict[str, str | int | None]:
        query: dict[str, str | int | None] = {"order": "id", "kind": "state"}
        if config:
            configurable = config.get("configurable", {})
            thread = thread_of(str(configurable["thread_id"]))
            query["thread"] = thread
            query["min_position"] = self.positions.of(thread)
            query["namespace"] = configurable.get("checkpoint_ns")
            query["id"] = get_checkpoint_id(config)
        if before:
            query["before"] = get_checkpoint_id(before)
        # what is not found by its index is looked at in the state itself
        searched = {name: value for name, value in indexed(filter or {}).items() if value is not None}
        if searched:
            query["metadata"] = json_of(searched)
        return query

    def _tuple(self, thread_id: str, detail: CheckpointDetail) -> CheckpointTuple:
        stored = self._loads(detail["state"])
        return CheckpointTuple(
            config=config_of(thread_id, detail["namespace"], detail["id"]),
            checkpoint=cast(Checkpoint, stored["checkpoint"]),
            metadata=cast(CheckpointMetadata, stored["metadata"]),
            parent_config=config_of(thread_id, detail["namespace"], detail["parent"]) if "parent" in detail else None,
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

    def _loads(self, state: Bytes) -> Any:
        return self.serde.loads_typed((state["format"].removeprefix(FORMAT), base64.b64decode(state["base64"])))


class _Listing:
    def __init__(self, left: float) -> None:
        self.left = left
        self.more = True
        self.cursor: str | None = None
