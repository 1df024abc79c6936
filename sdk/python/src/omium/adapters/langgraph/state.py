"""The state of a graph: kept for people after each super-step, and as LangGraph's own checkpoints where its user wants them.

1. An attempt works on checkpoints in memory. Nothing that was stored is read back, so that a damaged or a missing one
   cannot change a run.
2. Ids of checkpoints are the same in every attempt, and so are those of tasks and nested graphs, which LangGraph derives
   from them. They sort by rollback and super-step, and before those that LangGraph itself makes: what somebody adds to the
   thread later comes later.
3. LangGraph's saving goes on beside its super-steps; the run waits for it at its end. When it fails, what follows is not
   stored, and the run goes on.
"""

# what is replaced in the framework is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import _loop

from ...replay.run import Run
from ..langgraph_saver import OmiumCheckpointSaver
from ..native_state import keep_state

_SAVE_WITHIN_S = 30.0
# channels that carry the graph's own bookkeeping
_INTERNAL = ("__", "branch:", "join:", "start:")

_originals: dict[str, Any] = {}


def install() -> None:
    """Once for the process."""
    if _originals:
        return
    _originals["create_checkpoint"] = _loop.create_checkpoint
    _loop.create_checkpoint = _create_checkpoint


def _create_checkpoint(
    checkpoint: Checkpoint, channels: Any, step: int, *, id: str | None = None, **options: Any
) -> Checkpoint:
    saver = getattr(options.get("get_next_version"), "__self__", None)
    if id is None and isinstance(saver, RunSaver):
        id = saver.id_at(step)
    return cast(Checkpoint, _originals["create_checkpoint"](checkpoint, channels, step, id=id, **options))


class RunSaver(InMemorySaver):
    """The checkpoints of one attempt; `following` gets them as well."""

    def __init__(self, run: Run, following: OmiumCheckpointSaver | None) -> None:
        super().__init__(serde=None if following is None else following.serde)
        self._run = run
        self._following = None if run.only_looks_back else following
        self._digits = hashlib.sha256(run.execution_id.encode()).hexdigest()
        # (namespace, id) of what earlier attempts stored, once somebody has looked
        self._stored: set[tuple[str, str]] | None = None if run.attempt > 1 else set()
        self._looking = asyncio.Lock()

    def id_at(self, step: int) -> str:
        """Id of a super-step's checkpoint: a UUID by its form, as LangGraph expects."""
        # the first step of a graph is -1
        place = f"{min(self._run.generation, 0xFFF):04x}{step + 2:08x}"
        more = self._digits
        return f"{place[:8]}-{place[8:]}-6{more[:3]}-8{more[3:6]}-{more[6:18]}"

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        stored = self._put(config, checkpoint, metadata, new_versions)
        self._follow(lambda: self._pass_on(config, checkpoint, metadata, new_versions))
        return stored

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        stored = self._put(config, checkpoint, metadata, new_versions)
        await self._pass_on(config, checkpoint, metadata, new_versions)
        return stored

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        super().put_writes(config, writes, task_id, task_path)
        self._follow(lambda: self._pass_writes_on(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        super().put_writes(config, writes, task_id, task_path)
        await self._pass_writes_on(config, writes, task_id, task_path)

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        stored = super().put(config, checkpoint, metadata, new_versions)
        namespace = _namespace_of(config)
        step = int(metadata.get("step", 0))
        source = str(metadata.get("source", ""))
        keep_state(
            self._run,
            "langgraph",
            f"step-{step}" if step >= 0 else "input",
            lambda: _values_of(checkpoint),
            label=f"super-step {step}" if step >= 0 else "input",
            namespace=namespace,
            metadata={"step": step, "source": source, "checkpoint": checkpoint["id"]},
        )
        return stored

    # ---- passing on

    def _follow(self, passing: Callable[[], Any]) -> None:
        """From a thread of the graph's: on the run's loop, whose connections the saver uses."""
        if self._following is not None:
            asyncio.run_coroutine_threadsafe(passing(), self._run.port.loop).result()

    async def _pass_on(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> None:
        async def put(saver: OmiumCheckpointSaver) -> None:
            namespace = _namespace_of(config)
            if (namespace, checkpoint["id"]) not in await self._stored_by(saver):
                await saver.aput(config, checkpoint, metadata, new_versions)

        await self._try(put)

    async def _pass_writes_on(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        async def put(saver: OmiumCheckpointSaver) -> None:
            namespace = _namespace_of(config)
            below = str(config.get("configurable", {})["checkpoint_id"])
            # a later checkpoint was stored after all writes on the one before
            if not any(ns == namespace and id > below for ns, id in await self._stored_by(saver)):
                await saver.aput_writes(config, writes, task_id, task_path)

        await self._try(put)

    async def _stored_by(self, saver: OmiumCheckpointSaver) -> set[tuple[str, str]]:
        async with self._looking:
            if self._stored is None:
                self._stored = await saver.astored(self._run.execution_id)
            return self._stored

    async def _try(self, put: Callable[[OmiumCheckpointSaver], Any]) -> None:
        saver = self._following
        if saver is None or self._run.closed:
            return
        try:
            await asyncio.wait_for(put(saver), _SAVE_WITHIN_S)
        except Exception as error:
            self._following = None
            said = f"{type(error).__name__}: {error}"
            log = self._run.port.log
            log.warning("checkpoints of the graph of run %s are stored no further: %s", self._run.execution_id, said)


def _namespace_of(config: RunnableConfig) -> str:
    """Tells nested graphs apart; empty for the outermost."""
    return str(config.get("configurable", {}).get("checkpoint_ns") or "")


def _values_of(checkpoint: Checkpoint) -> dict[str, Any]:
    values = checkpoint["channel_values"]
    return {name: value for name, value in values.items() if not name.startswith(_INTERNAL)}
