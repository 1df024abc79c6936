"""One call of user code on its context, from being asked to being released."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import Failure
from ..json import JsonValue
from ..protocol import EngineMessage, JournalEntry, WorkerMessage

if TYPE_CHECKING:
    from .run import Run


class Missing:
    """The type of `MISSING`."""


MISSING = Missing()
"""No input was given, which is not the same as the input null."""


class Requester(Protocol):
    """Whoever waits for the answer of one request."""

    def acked(self, ack: EngineMessage) -> None: ...
    def nacked(self, error: Failure) -> None:
        """The request changed nothing; fenced attempts never get here."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A requester made of two functions."""

    on_ack: Callable[[], None]
    on_nack: Callable[[Failure], None]

    def acked(self, ack: EngineMessage) -> None:
        self.on_ack()

    def nacked(self, error: Failure) -> None:
        self.on_nack(error)


class Call(ABC):
    """What it gets is decided by the journal or the engine; when it gets it, by the run's release queue."""

    def __init__(self, run: Run, path: str, kind: str, request_hash: str, given: JsonValue | Missing) -> None:
        self.run = run
        self.path = path
        self.kind = kind
        self.request_hash = request_hash
        self.given = given
        self.future: asyncio.Future[Any] = run.port.loop.create_future()
        self.settled = False
        """its result is in the release queue or was released"""

    @property
    def has_input(self) -> bool:
        return not isinstance(self.given, Missing)

    @property
    def shown_input(self) -> JsonValue:
        return None if isinstance(self.given, Missing) else self.given

    @abstractmethod
    def start(self) -> None:
        """Does it for the first time."""

    @abstractmethod
    def reopen(self, entry: JournalEntry) -> None:
        """Goes on from an entry that is `retrying` or `unknown`; never called before the replay is over."""

    @abstractmethod
    def acked(self, ack: EngineMessage) -> None: ...

    def nacked(self, error: Failure) -> None:
        self.run.refused(error, self.path)

    def entered(self, entry: JournalEntry) -> None:
        """What the engine says about it, live."""
        if self.settled:
            return
        match entry["status"]:
            case "completed":
                self.settle(entry.get("value"), None)
            case "failed":
                self.settle(None, entry.get("error"))
            case "pending":
                self.run.opened(self)
            case _:
                self.run.reopen_when_live(self, entry)

    def settle(self, value: JsonValue, failure: Failure | None) -> None:
        """Puts the result into the release queue, once."""
        if self.settled:
            return
        self.settled = True
        self.run.settled(self.path, value, failure)


class OpenCall(Call):
    """A call that the platform settles: a timer, a wait for a signal, an approval, a child execution."""

    def __init__(
        self,
        run: Run,
        path: str,
        kind: str,
        request_hash: str,
        given: JsonValue,
        body: Callable[[str], WorkerMessage],
    ) -> None:
        super().__init__(run, path, kind, request_hash, given)
        self._body = body(path)

    def start(self) -> None:
        self.run.port.send(
            {
                **self._body,
                "executionId": self.run.execution_id,
                "attempt": self.run.attempt,
                "seq": self.run.next_seq(self),
                "path": self.path,
                "requestHash": self.request_hash,
            }
        )

    def reopen(self, entry: JournalEntry) -> None:
        # nothing here runs in the worker: whatever the engine is about to do, it resolves
        self.run.opened(self)

    def acked(self, ack: EngineMessage) -> None:
        if "entry" in ack:
            self.entered(ack["entry"])
        else:
            self.run.opened(self)
