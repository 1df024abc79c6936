"""What a worker knows of a run that it holds, wherever its code executes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, Protocol

from ..protocol import EngineMessage


class HostedRun(Hashable, Protocol):
    """In this process (`replay.run.Run`) or in one of its own (`isolation.IsolatedRun`). Called on the worker's loop."""

    execution_id: str
    attempt: int
    waiting: bool

    def receive(self, message: EngineMessage) -> None: ...
    def drain(self) -> None: ...
    def suspend(self, reason: Literal["waiting", "drained"]) -> None: ...
    def abandon(self, detail: str) -> None: ...
    def end(self, reason: Literal["fenced"]) -> None: ...
