"""What is asked of the platform to read checkpoints, and what its answers are to LangGraph."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Sequence
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

from ...client.checkpoints import Bytes, CheckpointDetail, CheckpointFlows, CheckpointView, Json, Writes
from ...client.flows import Flow, Give, Items, collected, following
from ...errors import OmiumError
from .naming import FORMAT, config_of, indexed, place_of, thread_id_of, thread_of
from .positions import Positions

_log = logging.getLogger("omium.langgraph")

_PAGE = 100


@dataclass(frozen=True)
class Reading:
    """The flows of one call of the saver; each is driven by a transport."""

    calls: CheckpointFlows
    serde: SerializerProtocol
    positions: Positions

    def get(self, config: RunnableConfig) -> Flow[CheckpointTuple | None]:
        thread_id, namespace = place_of(config)
        thread = thread_of(thread_id)
        asked = get_checkpoint_id(config)
        detail = yield from self.calls.find(
            thread,
            asked or "latest",
            namespace=namespace,
            min_position=self.positions.of(thread),
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
    ) -> Items[CheckpointTuple]:
        left = math.inf if limit is None else limit
        wanted = filter or {}
        listed = self.listed(page_size=max(1, int(min(_PAGE, left))), **self._query(config, wanted, before))
        while left > 0 and (item := (yield from following(listed))) is not None:
            try:
                detail = yield from self.read(item)
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
            if all(metadata.get(name) == value for name, value in wanted.items()):
                left -= 1
                yield Give(one)

    def listed(self, *, page_size: int = _PAGE, **query: Any) -> Items[CheckpointView]:
        """Every checkpoint of LangGraph that fits, newest first."""
        listed = self.calls.list(kind="state", page_size=page_size, **query)
        while (item := (yield from following(listed))) is not None:
            if item["format"].startswith(FORMAT):
                yield Give(item)

    def all_of(self, thread: str) -> Flow[list[CheckpointView]]:
        return collected(self.listed(thread=thread, min_position=self.positions.of(thread)))

    def read(self, item: CheckpointView) -> Flow[CheckpointDetail | None]:
        return self.calls.find(item["thread"], item["id"], namespace=item["namespace"], min_position=None)

    def _query(
        self, config: RunnableConfig | None, filter: dict[str, Any], before: RunnableConfig | None
    ) -> dict[str, Any]:
        query: dict[str, Any] = {"order": "id"}
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
        query["metadata"] = {name: value for name, value in indexed(filter).items() if value is not None}
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

    def _loads(self, stored: Bytes | Json) -> Any:
        # only this saver's own format is read
        state = cast(Bytes, stored)
        return self.serde.loads_typed((state["format"].removeprefix(FORMAT), base64.b64decode(state["base64"])))
