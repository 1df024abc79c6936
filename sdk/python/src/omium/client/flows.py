"""What a call of the API does, without doing it: a generator that yields what is to be done and is sent what came of it.

1. There is one flow for each call. A transport drives it, blocking or on an event loop, so that both clients do the same.
2. A flow that gives items one by one yields them as `Give`; driving it is iterating over them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, overload
from urllib.parse import quote

import httpx

from ..errors import OmiumError
from ..ids import new_id
from ..json import JsonValue, plain_json

_P = ParamSpec("_P")
_T = TypeVar("_T")

Query: TypeAlias = "Mapping[str, str | int | bool | list[str] | None]"
"""A list stands for the member several times; what is None is left out."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, however often it has to be sent: each time under the same idempotency key."""

    method: str
    path: str
    body: JsonValue = None
    query: Query = field(default_factory=dict[str, Any])
    timeout_s: float | None = None
    """the client's unless given"""
    usual_timeout_s: float | None = None
    """of what takes longer than most, where the client has none"""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    key: str = field(default_factory=lambda: new_id("cmd"))
    """the platform decides once about all requests under one key"""
    base_url: str | None = None
    """of another server of the platform that takes the same credentials"""
    max_tries: int | None = None
    """the client's unless given"""


@dataclass(frozen=True, slots=True)
class Send:
    """Send it; the answer is a response that has been read, or the transport's error."""

    request: HttpRequest


@dataclass(frozen=True, slots=True)
class Open:
    """Send it; the answer is a response (read when it is not a good one), or the transport's error. Then its lines are asked for."""

    request: HttpRequest


@dataclass(frozen=True, slots=True)
class NextLine:
    """The answer is a line of what was opened, None at its end, or the transport's error."""


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Give(Generic[_T]):
    item: _T


Effect: TypeAlias = "Send | Open | NextLine | Pause"
Answer: TypeAlias = "httpx.Response | httpx.RequestError | str | None"
Flow: TypeAlias = "Generator[Effect, Answer, _T]"
Items: TypeAlias = "Generator[Effect | Give[_T], Answer, None]"


class Api(Protocol):
    """What flows are made with."""

    @property
    def url(self) -> str: ...

    @property
    def models_url(self) -> str:
        """Where the model gateway is. Raises OmiumError `settings_invalid` when nobody has said it."""
        ...

    def json(self, request: HttpRequest) -> Flow[Any]:
        """The body of a good answer; None when it has none. Raises OmiumError with the gateway's code, or `unavailable`."""
        ...


class Driver(Protocol):
    """What makes of flows what their caller wants; `Any` stands for a value, an awaitable or an iterator of it."""

    @property
    def api(self) -> Api: ...

    def drive(self, flow: Flow[Any]) -> Any: ...

    def iterate(self, items: Items[Any]) -> Any: ...


class Calls:
    """A group of calls. Its methods are flows; which of the three below it is as well says what calling them gives."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._api = driver.api


class Blocking(Calls):
    """Calls give their results."""


class Awaiting(Calls):
    """Calls give awaitables of their results."""


class Composing(Calls):
    """Calls give their flows, for flows that are made of several."""


class call(Generic[_P, _T]):
    """Makes a call of a method that is a flow."""

    def __init__(self, flow: Callable[Concatenate[Any, _P], Flow[_T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, calls: Blocking, owner: type) -> Callable[_P, _T]: ...
    @overload
    def __get__(self, calls: Awaiting, owner: type) -> Callable[_P, Coroutine[Any, Any, _T]]: ...
    @overload
    def __get__(self, calls: Composing, owner: type) -> Callable[_P, Flow[_T]]: ...
    def __get__(self, calls: Any, owner: type) -> Any:
        return self if calls is None else _bound(self._flow, calls, calls._driver.drive)


class items(Generic[_P, _T]):
    """Makes a call of a method that is a flow which gives items one by one."""

    def __init__(self, flow: Callable[Concatenate[Any, _P], Items[_T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, calls: Blocking, owner: type) -> Callable[_P, Iterator[_T]]: ...
    @overload
    def __get__(self, calls: Awaiting, owner: type) -> Callable[_P, AsyncIterator[_T]]: ...
    @overload
    def __get__(self, calls: Composing, owner: type) -> Callable[_P, Items[_T]]: ...
    def __get__(self, calls: Any, owner: type) -> Any:
        return self if calls is None else _bound(self._flow, calls, calls._driver.iterate)


def _bound(method: Callable[..., Any], calls: Calls, drive: Callable[[Any], Any]) -> Callable[..., Any]:
    flow = method.__get__(calls)

    @wraps(flow)
    def bound(*args: Any, **options: Any) -> Any:
        return drive(flow(*args, **options))

    return bound


def pages(api: Api, path: str, query: Query) -> Items[Any]:
    """The items of a paged list, fetched as they are read."""
    cursor: str | None = None
    while True:
        page = yield from api.json(HttpRequest("GET", path, query={**query, "cursor": cursor}))
        for item in page["items"]:
            yield Give(item)
        cursor = page.get("nextCursor")
        if cursor is None:
            return


def following(items: Items[_T]) -> Flow[_T | None]:
    """The next item, None when there is none, for flows that go on with each."""
    answer: Answer = None
    while True:
        try:
            step = items.send(answer)
        except StopIteration:
            return None
        if isinstance(step, Give):
            return step.item
        answer = yield step


def collected(items: Items[_T]) -> Flow[list[_T]]:
    """All items at once."""
    found: list[_T] = []
    while (item := (yield from following(items))) is not None:
        found.append(item)
    return found


def segment(text: str) -> str:
    """A text as one segment of a path. Raises OmiumError `invalid_request` for one that would make it another path."""
    if text in ("", ".", ".."):
        raise OmiumError("invalid_request", f"{text!r} is no id")
    return quote(text, safe="")


def given(**members: object) -> dict[str, JsonValue]:
    """Members of a body without those that are None, which stands for not given."""
    return {name: plain_json(value, name) for name, value in members.items() if value is not None}


def moment(time: datetime | None) -> str | None:
    """A moment as the API takes it; one without a time zone is local."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
