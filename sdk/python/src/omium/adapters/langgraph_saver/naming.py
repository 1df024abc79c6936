"""What LangGraph's threads, places and metadata are called on the platform, and back."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from ...client.checkpoints import CheckpointView, Scalar

FORMAT = "langgraph:"
"""States of LangGraph are told from others by it; what follows is the name of the serializer's format."""

_plain = re.compile(r"[A-Za-z0-9._-]{1,120}")
# what a hashed thread id stands for, among the metadata that lists show
_THREAD_ID = "omium.thread_id"
_MAX_INDEXED_TEXT = 4000
_MAX_INDEXED_NAME = 200
# what JSON carries exactly wherever it is read
_MAX_INDEXED_NUMBER = 2**53 - 1
# what metadata cannot hold as it is, and the sign by which it is written
_unwritable = re.compile("[%\0\ud800-\udfff]")
_written = re.compile("%([0-9a-f]{4})")


def thread_of(thread_id: str) -> str:
    """The platform's name of a LangGraph thread: another for each, and none that a run's own thread could have."""
    if _plain.fullmatch(thread_id):
        return f"lg.{thread_id}"
    return f"lgx.{hashlib.sha256(thread_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def thread_id_of(item: CheckpointView) -> str:
    if item["thread"].startswith("lg."):
        return item["thread"].removeprefix("lg.")
    told = str(item["metadata"].get(_THREAD_ID, item["thread"]))
    return _written.sub(lambda match: chr(int(match[1], 16)), told)


def named(thread_id: str) -> dict[str, Scalar]:
    """What has to be among the metadata so that lists can tell the thread's id."""
    if _plain.fullmatch(thread_id):
        return {}
    return {_THREAD_ID: _unwritable.sub(lambda match: f"%{ord(match[0]):04x}", thread_id)}


def renamed(metadata: Mapping[str, Scalar], thread_id: str) -> dict[str, Scalar]:
    """The metadata of a checkpoint that is copied to another thread."""
    return {name: value for name, value in metadata.items() if name != _THREAD_ID} | named(thread_id)


def place_of(config: RunnableConfig) -> tuple[str, str]:
    """Thread id and namespace."""
    configurable = config.get("configurable", {})
    return str(configurable["thread_id"]), str(configurable.get("checkpoint_ns") or "")


def config_of(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id},
    }


def indexed(metadata: dict[str, Any]) -> dict[str, Scalar]:
    """The members that lists are searched by: plain, short, and such that JSON can carry them."""
    return {name: value for name, value in metadata.items() if len(name) <= _MAX_INDEXED_NAME and _is_plain(value)}


def _is_plain(value: object) -> bool:
    match value:
        case None | bool():
            return True
        case int():
            return abs(value) <= _MAX_INDEXED_NUMBER
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= _MAX_INDEXED_TEXT and "\0" not in value
        case _:
            return False
