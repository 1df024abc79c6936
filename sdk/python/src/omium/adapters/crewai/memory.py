"""Memory and knowledge of crews, as recorded calls.

1. Embeddings and the analysis that memory asks of a model are model calls like any other, named `memory: model`.
2. What a memory's storage is asked and told, and a search in knowledge, are recorded as tool calls. So an attempt sees what the
   first one saw, whatever has been stored since, on whichever worker.
3. What memory would save beside the crew it saves in line: each attempt asks for the same, and none ends before it is saved.
4. LanceDB and Chroma do not survive a fork once they were opened: a crew that has them needs a fresh process. A memory that is made
   once this is installed opens its storage when it is first used.
5. Where things are stored is CrewAI's affair: one folder for all runs of a worker, or `CREWAI_STORAGE_DIR`.
"""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from typing import Any, cast

from crewai import Crew
from crewai.knowledge.knowledge import Knowledge
from crewai.knowledge.storage.knowledge_storage import KnowledgeStorage
from crewai.memory import encoding_flow, recall_flow
from crewai.memory import types as memory_types
from crewai.memory.types import MemoryRecord, ScopeInfo
from crewai.memory.unified_memory import Memory

from ...json import hash_json, plain_json
from ..journal import from_loop, from_thread, on_this_loop
from ..tools import record_tool
from . import names
from .world import World, here

_RECORDED: dict[str, tuple[str, Any]] = {
    "search": ("memory search", list[tuple[MemoryRecord, float]]),
    "get_record": ("memory search", MemoryRecord | None),
    "list_records": ("memory search", list[MemoryRecord]),
    "list_scopes": ("memory scopes", list[str]),
    "list_categories": ("memory scopes", dict[str, int]),
    "get_scope_info": ("memory scopes", ScopeInfo),
    "count": ("memory scopes", int),
    "save": ("memory save", None),
    "update": ("memory save", None),
    "delete": ("memory delete", int),
    "reset": ("memory delete", None),
}
"""Methods of a storage: how their calls are named, and what they give."""
_STORING = ("memory", "knowledge", "knowledge_sources")

_opening = threading.Lock()


def install(pool: type[Any], clock: type[Any], next_id: Callable[[], Any]) -> None:
    """`pool`, `clock`, `next_id`: what the run's code has in place of threads, times and ids of its own."""
    encoding_flow.ThreadPoolExecutor = pool  # type: ignore[misc]
    recall_flow.ThreadPoolExecutor = pool  # type: ignore[misc]
    memory_types.datetime = clock  # type: ignore[misc]
    memory_types.uuid4 = next_id
    _submit_inline(Memory._submit_save)
    # in place of the attribute, also of memories that were made before
    Memory._storage = property(_storage_of)  # type: ignore[assignment]
    for kind, method, service in (
        (Memory, "recall", "memory"),
        (Memory, "_encode_batch", "memory"),
        (Memory, "extract_memories", "memory"),
        (Memory, "update", "memory"),
        (Knowledge, "add_sources", "knowledge"),
    ):
        _speaking_as(service, kind, method)
    # what is forked does not use it
    warnings.filterwarnings("ignore", "lancedb fork support is experimental", RuntimeWarning)
    Memory.model_post_init = _open_later  # type: ignore[method-assign]
    _record_search()


def is_forkable(given: Any) -> bool:
    """Whether what runs this crew, flow, class or function does so soundly in a process forked from this one.

    The native threads of LanceDB and Chroma, once those were opened, are not there; what asks them hangs or crashes.
    """
    if isinstance(given, Crew):
        ones = (given, given.manager_agent, *given.agents)
        return not any(getattr(one, name, None) for one in ones for name in _STORING)
    # it opens what it needs itself
    chroma: Any = sys.modules.get("chromadb.api.shared_system_client")
    opened = chroma is not None and chroma.SharedSystemClient._identifier_to_system
    return not opened and "crewai.memory.storage.lancedb_storage" not in sys.modules


class _Unopened:
    """In place of a memory's storage until something is asked of it: every flow has a memory, few use it."""


_post_init = Memory.model_post_init


def _open_later(memory: Memory, context: Any, /) -> None:
    fields = cast("dict[str, Any]", memory.__dict__)
    storage = fields["storage"]
    if isinstance(storage, str):
        fields["storage"] = _Unopened()
    _post_init(memory, context)
    fields["storage"] = storage


def _opened(memory: Memory) -> Any:
    other = memory.model_copy()
    _post_init(other, None)
    return cast("dict[str, Any]", other.__pydantic_private__)["_storage"]


def _storage_of(memory: Memory) -> Any:
    private = cast("dict[str, Any]", memory.__pydantic_private__)
    with _opening:
        if isinstance(private["_storage"], _Unopened):
            private["_storage"] = _opened(memory)
    storage = private["_storage"]
    world = here()
    return storage if world is None else _RecordedStorage(storage, world)


class _RecordedStorage:
    """A storage as the code of a run sees it."""

    def __init__(self, storage: Any, world: World) -> None:
        self._storage = storage
        self._world = world

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        if name not in _RECORDED:
            return method
        label, returns = _RECORDED[name]
        parameters = inspect.signature(method)

        def call(*args: Any, **options: Any) -> Any:
            asked = {key: _identity(value) for key, value in parameters.bind(*args, **options).arguments.items()}

            def ask() -> Any:
                return record_tool(label, {"do": name, **asked}, lambda: method(*args, **options), returns=returns)

            return from_thread(self._world.run, ask)

        return call


def _identity(value: Any) -> Any:
    """What tells calls apart: not the ids and times of new records, and of vectors their hash."""
    if isinstance(value, MemoryRecord):
        return value.model_dump(mode="json", exclude={"id", "created_at", "last_accessed", "embedding"})
    if isinstance(value, (list, tuple)) and value:
        if isinstance(value[0], MemoryRecord):
            return [_identity(one) for one in value]
        if isinstance(value[0], float):
            return f"vector {hash_json(plain_json(list(value), 'the vector'))[:16]}"
    return value


def _submit_inline(submit: Callable[..., Any]) -> None:
    def submit_save(self: Memory, fn: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        if here() is None:
            return cast("Future[Any]", submit(self, fn, *args, **options))
        future: Future[Any] = Future()
        future.add_done_callback(self._on_save_done)
        try:
            future.set_result(fn(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future

    Memory._submit_save = submit_save  # type: ignore[method-assign]


def _speaking_as(service: str, kind: type[Any], method: str) -> None:
    original = getattr(kind, method)

    @wraps(original)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        with names.service(service):
            return original(self, *args, **options)

    setattr(kind, method, call)


def _record_search() -> None:
    search, asearch = KnowledgeStorage.search, KnowledgeStorage.asearch

    def asked(original: Any, storage: Any, args: Any, options: Any) -> dict[str, Any]:
        given = inspect.signature(original).bind(storage, *args, **options).arguments
        return {"collection": storage.collection_name, **{key: given[key] for key in given if key != "self"}}

    def recorded(self: KnowledgeStorage, *args: Any, **options: Any) -> Any:
        world = here()
        if world is None:
            return search(self, *args, **options)
        request = asked(search, self, args, options)
        fn = lambda: search(self, *args, **options)  # noqa: E731
        return from_thread(world.run, lambda: record_tool("knowledge search", request, fn))

    async def arecorded(self: KnowledgeStorage, *args: Any, **options: Any) -> Any:
        world = here()
        if world is None:
            return await asearch(self, *args, **options)
        request = asked(asearch, self, args, options)

        async def fn() -> Any:
            return await asearch(self, *args, **options)

        on_loop = on_this_loop(world.run, fn)
        return await from_loop(world.run, lambda: record_tool("knowledge search", request, on_loop))

    KnowledgeStorage.search = recorded  # type: ignore[method-assign]
    KnowledgeStorage.asearch = arecorded  # type: ignore[method-assign]
