"""A fresh copy of a framework's object for every attempt.

Teams and managers keep the state of their conversation in themselves: an attempt that took up what an earlier one or
another run left would ask its model something else than the journal says. So each gets a copy of the object as its user
made it.

1. What talks to the outside, and code, is shared: the caller says what that is. Everything else is copied.
2. Queues and locks are replaced by new ones: they belong to the event loop that first used them.
3. What cannot be copied is an error when the worker starts, with the way out: a function that makes the object.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any, cast

from ..errors import OmiumError

_ATOMIC = (str, bytes, int, float, bool, type(None), type, types.ModuleType)
_CODE: tuple[type, ...] = (types.FunctionType, types.BuiltinFunctionType, functools.partial)

Stand = Callable[[object], object]
"""What stands for an object in every copy: itself when it is shared, a new one, or None to have it copied."""


def fresh_copy(root: Any, stand: Stand, what: str) -> Any:
    """A copy of an object and all it holds. `what` names it: `agent "team"`.

    Raises OmiumError `settings_invalid` when something in it cannot be copied.
    """
    memo: dict[int, Any] = {}
    methods: list[types.MethodType] = []
    for one in parts_of(root, lambda held: id(held) in memo):
        if isinstance(one, types.MethodType):
            methods.append(one)
            continue
        instead: object = one if isinstance(one, _CODE) else None
        instead = instead or _new_primitive(one) or stand(one)
        if instead is not None:
            memo[id(one)] = instead
    inside = {id(one) for one in parts_of(root, lambda held: id(held) in memo)}
    for method in methods:
        # a method of something that is copied goes with the copy; that of a stranger is code
        if id(method.__self__) not in inside:
            memo[id(method)] = method
    try:
        return deepcopy(root, memo)
    except Exception as cause:
        raise OmiumError(
            "settings_invalid",
            f"{what} cannot be copied for each of its runs ({type(cause).__name__}: {cause}): "
            "give a function without parameters that makes it, annotated with what it returns",
            cause=cause,
        ) from cause


def parts_of(root: object, closed: Callable[[object], bool] = lambda _: False) -> Iterator[object]:
    """An object and all it holds, each once; not what a `closed` one holds, which is asked after it was yielded."""
    seen: set[int] = set()
    waiting: list[object] = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _ATOMIC):
            continue
        seen.add(id(one))
        yield one
        if not closed(one):
            waiting.extend(_held_by(one))


def _held_by(one: object) -> Iterable[object]:
    if isinstance(one, dict):
        members = cast("dict[object, object]", one)
        return [*members.keys(), *members.values()]
    if isinstance(one, (list, tuple, set, frozenset, deque)):
        return list(cast("Iterable[object]", one))
    if isinstance(one, (types.MethodType, *_CODE)):
        return ()
    held: list[object] = list(getattr(one, "__dict__", {}).values())
    private = getattr(one, "__pydantic_private__", None)
    if isinstance(private, dict):
        held.extend(cast("dict[str, object]", private).values())
    return held


def _new_primitive(one: object) -> object:
    kind = type(one)
    if kind in (asyncio.Queue, asyncio.Lock, asyncio.Event):
        return cast("Callable[[], object]", kind)()
    if isinstance(one, type(threading.Lock())):
        return threading.Lock()
    return None
