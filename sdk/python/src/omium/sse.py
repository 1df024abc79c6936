"""Server-sent events (WHATWG HTML, 9.2.6), from lines."""

from __future__ import annotations

import codecs
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


class Lines:
    """Lines of a stream of bytes, as the specification ends them: CR LF, LF or CR, and nothing else. `str.splitlines` and
    httpx's `iter_lines` also end one at U+2028 or U+0085, which stand in JSON as they are."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that are complete now; what follows the last end is kept."""
        text = self._rest + self._text.decode(chunk)
        # whether an LF belongs to a CR at the end is not known yet
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r") if held else text
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = rest + held
        return lines


def lines_of(text: str) -> list[str]:
    """The lines of a whole stream."""
    return Lines().feed(text.encode() + b"\n")


def lines_in(chunks: Iterator[bytes]) -> Iterator[str]:
    """The complete lines of a stream: what it breaks off in the middle of is none."""
    lines = Lines()
    for chunk in chunks:
        yield from lines.feed(chunk)


async def alines_in(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The complete lines of a stream: what it breaks off in the middle of is none."""
    lines = Lines()
    async for chunk in chunks:
        for line in lines.feed(chunk):
            yield line


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
