"""WebSockets to the gateway, blocking and not. Imported when one is opened: most programs open none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from .flows import Hung

_OPEN_TIMEOUT_S = 10.0


class Socket:
    """One at a time."""

    def __init__(self) -> None:
        self._open: ClientConnection | None = None

    def dial(self, url: str, headers: Mapping[str, str], proxied: bool) -> Hung | None:
        self.close()
        try:
            self._open = connect(
                url,
                additional_headers=headers,
                user_agent_header=None,
                compression=None,
                proxy=proxied or None,
                open_timeout=_OPEN_TIMEOUT_S,
                max_size=None,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            return _hung(error)
        return None

    def tell(self, message: str) -> Hung | None:
        try:
            if self._open is None:
                return Hung()
            self._open.send(message)
        except ConnectionClosed as error:
            return _hung(error)
        return None

    def hear(self, silence_s: float) -> str | Hung:
        try:
            return Hung() if self._open is None else str(self._open.recv(timeout=silence_s))
        except (TimeoutError, ConnectionClosed) as error:
            return _hung(error)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()


class AsyncSocket:
    """One at a time."""

    def __init__(self) -> None:
        self._open: AsyncConnection | None = None

    async def dial(self, url: str, headers: Mapping[str, str], proxied: bool) -> Hung | None:
        await self.close()
        try:
            self._open = await connect_async(
                url,
                additional_headers=headers,
                user_agent_header=None,
                compression=None,
                proxy=proxied or None,
                open_timeout=_OPEN_TIMEOUT_S,
                max_size=None,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            return _hung(error)
        return None

    async def tell(self, message: str) -> Hung | None:
        try:
            if self._open is None:
                return Hung()
            await self._open.send(message)
        except ConnectionClosed as error:
            return _hung(error)
        return None

    async def hear(self, silence_s: float) -> str | Hung:
        try:
            async with asyncio.timeout(silence_s):
                return Hung() if self._open is None else str(await self._open.recv())
        except (TimeoutError, ConnectionClosed) as error:
            return _hung(error)

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()


def _hung(error: Exception) -> Hung:
    if isinstance(error, InvalidStatus):
        return Hung(error.response.status_code)
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        return Hung(error.rcvd.code)
    return Hung()
