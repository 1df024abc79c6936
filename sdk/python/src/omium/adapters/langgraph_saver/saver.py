"""The checkpointer as LangGraph calls it; see the package's docstring for what it promises."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
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

from ...client import AsyncClient, Client
from ...client.api import Flow
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
        self._connection = {"url": url, "api_key": api_key}
        self._client = Client(url=url, api_key=api_key)
        # connections belong to the loop that opened them
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()
        self._positions = Positions()

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

    def _flows(self, client: Client | AsyncClient) -> Writing:
        # LangGraph gives copies of a saver other serializers
        return Writing(client.api, self.serde, self._positions)

    # ---- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._client.drive(self._flows(self._client).get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        client = self._async()
        return await client.drive(self._flows(client).get(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        flows = self._flows(self._client).found(config, filter, before, limit)
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
        flows = self._flows(client).found(config, filter, before, limit)
        while (found := await client.drive(_next(flows))) is not None:
            for one in found:
                yield one

    async def astored(self, thread_id: str) -> set[tuple[str, str]]:
        """(namespace, id) of every checkpoint of a thread, without reading any state."""
        client = self._async()
        items = await client.drive(self._flows(client).all_of(thread_of(thread_id)))
        return {(item["namespace"], item["id"]) for item in items}

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self._client.drive(self._flows(self._client).put(config, checkpoint, metadata))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        client = self._async()
        return await client.drive(self._flows(client).put(config, checkpoint, metadata))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._client.drive(self._flows(self._client).put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        client = self._async()
        await client.drive(self._flows(client).put_writes(config, writes, task_id, task_path))

    # ---- deleting, copying, pruning

    def delete_thread(self, thread_id: str) -> None:
        self._client.drive(self._flows(self._client).delete_thread(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        client = self._async()
        await client.drive(self._flows(client).delete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._client.drive(self._flows(self._client).delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        client = self._async()
        await client.drive(self._flows(client).delete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._client.drive(self._flows(self._client).copy_thread(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        client = self._async()
        await client.drive(self._flows(client).copy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._client.drive(self._flows(self._client).prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        client = self._async()
        await client.drive(self._flows(client).prune(thread_ids, strategy))

    # ---- versions

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Grows with every call; the fraction tells versions apart that two branches of a thread come to."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"


def _next(
    flows: Iterator[Flow[Sequence[CheckpointTuple]]],
) -> Generator[Any, Any, Sequence[CheckpointTuple] | None]:
    flow = next(flows, None)
    return None if flow is None else (yield from flow)
