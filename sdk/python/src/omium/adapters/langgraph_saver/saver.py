"""The checkpointer as LangGraph calls it; see the package's docstring for what it promises."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from ...client.checkpoints import CheckpointFlows
from ...client.http import Http
from ...client.transports import AsyncTransport, NoTransport, SyncTransport
from ...settings import connection
from .naming import thread_of
from .positions import Positions
from .writing import Writing


class OmiumCheckpointSaver(BaseCheckpointSaver[str]):
    """Keeps the state of LangGraph programs on Omium; see the package's docstring for what it promises.

    Unset options come from `OMIUM_URL` and `OMIUM_API_KEY`. The saver may be shared by threads and event loops.
    Raises OmiumError `settings_invalid` when there is no key, and of the platform's codes from its methods.
    """

    def __init__(
        self, *, url: str | None = None, api_key: str | None = None, serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        self._api = Http(connection(url, api_key))
        self._sync = SyncTransport(self._api)
        # connections belong to the loop that opened them
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncTransport] = WeakKeyDictionary()
        self._positions = Positions()

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

    @property
    def _flows(self) -> Writing:
        # LangGraph gives copies of a saver other serializers
        return Writing(CheckpointFlows(NoTransport(self._api)), self.serde, self._positions)

    # ---- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._sync.drive(self._flows.get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._async.drive(self._flows.get(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        return self._sync.iterate(self._flows.found(config, filter, before, limit))

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        return self._async.iterate(self._flows.found(config, filter, before, limit))

    async def astored(self, thread_id: str) -> set[tuple[str, str]]:
        """(namespace, id) of every checkpoint of a thread, without reading any state."""
        items = await self._async.drive(self._flows.all_of(thread_of(thread_id)))
        return {(item["namespace"], item["id"]) for item in items}

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._sync.drive(self._flows.put(config, checkpoint, metadata))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._async.drive(self._flows.put(config, checkpoint, metadata))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._sync.drive(self._flows.put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._async.drive(self._flows.put_writes(config, writes, task_id, task_path))

    # ---- deleting, copying, pruning

    def delete_thread(self, thread_id: str) -> None:
        self._sync.drive(self._flows.delete_thread(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._async.drive(self._flows.delete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._sync.drive(self._flows.delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._async.drive(self._flows.delete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._sync.drive(self._flows.copy_thread(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._async.drive(self._flows.copy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._sync.drive(self._flows.prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._async.drive(self._flows.prune(thread_ids, strategy))

    # ---- versions

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Grows with every call; the fraction tells versions apart that two branches of a thread come to."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"
