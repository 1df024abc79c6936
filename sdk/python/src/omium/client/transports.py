"""Drives flows over httpx: blocking, on an event loop, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from ..sse import alines_in, lines_in
from .flows import Answer, Api, Effect, Flow, Give, Items, NextLine, Open, Pause, Send
from .http import Http, RequestOptions

_T = TypeVar("_T")


def _trusts_env(url: str) -> bool:
    """Whether `HTTPS_PROXY` and its like count: nobody means them for a platform on this machine."""
    host = urlsplit(url).hostname or ""
    return host != "localhost" and not host.startswith("127.") and host != "::1"


class SyncTransport:
    """Blocks the thread that drives."""

    def __init__(self, api: Http, http: httpx.Client | None = None) -> None:
        self.api = api
        self._is_ours = http is None
        self._http = http or httpx.Client(trust_env=_trusts_env(api.url))

    def with_options(self, options: RequestOptions) -> SyncTransport:
        """The same connections, asked otherwise."""
        return SyncTransport(self.api.with_options(options), self._http)

    def close(self) -> None:
        """Gives the connections back, unless they are somebody else's."""
        if self._is_ours:
            self._http.close()

    def drive(self, flow: Flow[_T]) -> _T:
        answer: Answer = None
        doing = _Blocking(self.api, self._http)
        try:
            while True:
                answer = doing.do(flow.send(answer))
        except StopIteration as end:
            return cast(_T, end.value)

    def iterate(self, items: Items[_T]) -> Iterator[_T]:
        answer: Answer = None
        doing = _Blocking(self.api, self._http)
        try:
            while True:
                try:
                    step = items.send(answer)
                except StopIteration:
                    return
                if isinstance(step, Give):
                    answer = None
                    yield step.item
                else:
                    answer = doing.do(step)
        finally:
            doing.close()


class _Blocking:
    """Does what one flow asks for."""

    def __init__(self, api: Http, client: httpx.Client) -> None:
        self._api = api
        self._http = client
        self._opened: httpx.Response | None = None
        self._lines: Iterator[str] = iter(())

    def do(self, effect: Effect) -> Answer:
        try:
            match effect:
                case Send(request):
                    return self._http.send(self._api.build(self._http, request))
                case Open(request):
                    self.close()
                    self._opened = opened = self._http.send(self._api.build(self._http, request), stream=True)
                    if not opened.is_success:
                        opened.read()
                    self._lines = lines_in(opened.iter_bytes())
                    return opened
                case NextLine():
                    return next(self._lines, None)
                case Pause(seconds):
                    time.sleep(seconds)
                    return None
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


class AsyncTransport:
    """Waits on the event loop of whoever drives."""

    def __init__(self, api: Http, http: httpx.AsyncClient | None = None) -> None:
        self.api = api
        self._is_ours = http is None
        self._http = http or httpx.AsyncClient(trust_env=_trusts_env(api.url))

    def with_options(self, options: RequestOptions) -> AsyncTransport:
        """The same connections, asked otherwise."""
        return AsyncTransport(self.api.with_options(options), self._http)

    async def close(self) -> None:
        """Gives the connections back, unless they are somebody else's."""
        if self._is_ours:
            await self._http.aclose()

    async def drive(self, flow: Flow[_T]) -> _T:
        answer: Answer = None
        doing = _OnLoop(self.api, self._http)
        try:
            while True:
                answer = await doing.do(flow.send(answer))
        except StopIteration as end:
            return cast(_T, end.value)

    async def iterate(self, items: Items[_T]) -> AsyncIterator[_T]:
        answer: Answer = None
        doing = _OnLoop(self.api, self._http)
        try:
            while True:
                try:
                    step = items.send(answer)
                except StopIteration:
                    return
                if isinstance(step, Give):
                    answer = None
                    yield step.item
                else:
                    answer = await doing.do(step)
        finally:
            await doing.close()


class _OnLoop:
    """Does what one flow asks for."""

    def __init__(self, api: Http, client: httpx.AsyncClient) -> None:
        self._api = api
        self._http = client
        self._opened: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def do(self, effect: Effect) -> Answer:
        try:
            match effect:
                case Send(request):
                    return await self._http.send(self._api.build(self._http, request))
                case Open(request):
                    await self.close()
                    self._opened = opened = await self._http.send(self._api.build(self._http, request), stream=True)
                    if not opened.is_success:
                        await opened.aread()
                    self._lines = alines_in(opened.aiter_bytes())
                    return opened
                case NextLine():
                    return None if self._lines is None else await anext(self._lines, None)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                    return None
        except httpx.RequestError as error:
            return error

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()


class NoTransport:
    """Leaves flows to flows that are made of them."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def drive(self, flow: Flow[Any]) -> Flow[Any]:
        return flow

    def iterate(self, items: Items[Any]) -> Items[Any]:
        return items
