"""Server-sent events (WHATWG HTML, 9.2.6), from lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    data: str
    id: str | None
    """the last id that the stream has set"""
    kind: str = "message"


class Parser:
    """One stream's."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._id: str | None = None
        self._kind = ""

    def line(self, line: str) -> ServerEvent | None:
        """Takes a line without its end; gives an event when the line completes one."""
        if line == "":
            data, self._data = self._data, []
            kind, self._kind = self._kind or "message", ""
            return ServerEvent("\n".join(data), self._id, kind) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._kind = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None


async def parse_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """The events in a stream of lines."""
    parser = Parser()
    async for line in lines:
        event = parser.line(line)
        if event is not None:
            yield event


def parse_events_sync(lines: Iterator[str]) -> Iterator[ServerEvent]:
    """The events in a stream of lines."""
    parser = Parser()
    for line in lines:
        event = parser.line(line)
        if event is not None:
            yield event
