"""Streams of server-sent events, resumed when they break."""

from __future__ import annotations

import httpx

from ..sse import Parser, ServerEvent
from .flows import Api, Give, HttpRequest, Items, NextLine, Open, Pause, Query
from .http import problem_of, reconnect_delay_s

SILENCE_S = 45.0
"""A stream that is silent for longer (heartbeats included) is taken for dead."""


def messages(api: Api, path: str, *, after: str | None, query: Query | None = None) -> Items[ServerEvent]:
    """Messages of a stream, after an id, until nothing follows; broken connections are resumed after the last id seen.

    Raises OmiumError when the gateway refuses for good.
    """
    last_id = after
    failures = 0
    while True:
        headers = {"accept": "text/event-stream", **({} if last_id is None else {"last-event-id": last_id})}
        opened = yield Open(HttpRequest("GET", path, query=query or {}, headers=headers, timeout_s=SILENCE_S))
        if isinstance(opened, httpx.Response):
            if opened.status_code == 204:
                return
            if not opened.is_success:
                error = problem_of(opened, f"GET {path}")
                if not error.retryable:
                    raise error
            parser = Parser()
            while opened.is_success and isinstance(line := (yield NextLine()), str):
                sent = parser.line(line)
                if sent is not None:
                    failures = 0
                    last_id = sent.id if sent.id is not None else last_id
                    yield Give(sent)
        failures += 1
        yield Pause(reconnect_delay_s(failures))
