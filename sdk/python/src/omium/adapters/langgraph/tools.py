"""Tools of LangChain, as recorded calls.

1. What is recorded is `_run` and `_arun` of a tool, of whatever class; parsing of arguments, callbacks and what the
   framework makes of the result stay outside and happen in every attempt.
2. Arguments that the framework injects (the graph's state, its store, ids of calls) are no part of a call's identity.
3. A result that JSON would change (messages, commands, tuples) is recorded in LangGraph's own form, and comes back as it was.
4. A tool that interrupts the graph has a record of that; it raises the same on replay. Resumed, it is called anew.
"""

# what is replaced in the framework is private
# pyright: basic, reportPrivateUsage=false

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from langchain_core.tools import BaseTool, ToolException
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt, interrupt

from ...errors import OmiumError, RemoteCause
from ...json import plain_json
from ..journal import current_run, from_loop, from_thread, on_this_loop
from ..tools import CODE_TAG, ToolFailedError, effect_of, record_tool, tagged

_INTERRUPT = "omium:interrupt"
_VALUE = "omium:langgraph"
_TUPLE = "omium:tuple"
_NOT_GIVEN = ("config", "run_manager", "callbacks")
_recorded_already = "_omium_recorded"

_serde = JsonPlusSerializer()
_originals: dict[str, Any] = {}


def install() -> None:
    """Wraps the tools that there are and those that will be defined, once for the process."""
    if _originals:
        return
    _originals["defined"] = cast("Any", BaseTool.__init_subclass__).__func__
    cast("Any", BaseTool).__init_subclass__ = classmethod(_defined)
    for kind in _below(BaseTool):
        _wrap(kind)


def _defined(cls: type[BaseTool], **options: Any) -> None:
    _originals["defined"](cls, **options)
    _wrap(cls)


def _below(kind: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for one in kind.__subclasses__():
        found += [one, *_below(one)]
    return found


def _wrap(kind: type[Any]) -> None:
    for name, recorded in (("_run", _recorded_sync), ("_arun", _recorded_async)):
        original = kind.__dict__.get(name)
        if inspect.isfunction(original) and not hasattr(original, _recorded_already):
            wrapped = recorded(original)
            setattr(wrapped, _recorded_already, True)
            setattr(kind, name, wrapped)


def _recorded_sync(original: Callable[..., Any]) -> Callable[..., Any]:
    # the framework looks at the signature to know what it has to pass
    @wraps(original)
    def call(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is None or tagged(CODE_TAG, *_marks(self)):
            return original(self, *args, **kwargs)

        def fn() -> Any:
            return _outcome(lambda: original(self, *args, **kwargs))

        return from_thread(run, lambda: _ask(self, args, kwargs, fn))

    return call


def _recorded_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def call(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        # a tool that is not async comes to `_run`, in a thread
        waits = getattr(self, "coroutine", original) is not None
        if run is None or not waits or tagged(CODE_TAG, *_marks(self)):
            return await original(self, *args, **kwargs)

        async def fn() -> Any:
            try:
                return _encoded(await original(self, *args, **kwargs))
            except GraphInterrupt as interrupted:
                return _interrupted(interrupted)

        asked = on_this_loop(run, fn)
        return await from_loop(run, lambda: _ask(self, args, kwargs, asked))

    return call


def _outcome(fn: Callable[[], Any]) -> Any:
    try:
        return _encoded(fn())
    except GraphInterrupt as interrupted:
        return _interrupted(interrupted)


def _marks(tool: BaseTool) -> tuple[object, ...]:
    """What carries a tool's tags: itself, or the function that it was made of."""
    return tool, getattr(tool, "func", None), getattr(tool, "coroutine", None)


async def _ask(tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any], fn: Callable[[], Any]) -> Any:
    given = {key: value for key, value in tool._filter_injected_args(kwargs).items() if key not in _NOT_GIVEN}
    try:
        recorded = await record_tool(tool.name, {"args": list(args), **given}, fn, effect=effect_of(*_marks(tool)))
    except ToolFailedError as error:
        cause = error.__cause__.__cause__ if error.__cause__ is not None else None
        if isinstance(cause, RemoteCause) and cause.name == ToolException.__name__:
            # what the framework may be told to handle
            raise ToolException(str(cause)) from error
        raise
    return _decoded(recorded)


# ---- results


def _encoded(result: Any) -> Any:
    if _is_plain(result):
        return result
    if type(result) is tuple:
        # a content with its artifact
        return {_TUPLE: [_encoded(one) for one in cast("tuple[Any, ...]", result)]}
    kind, body = _serde.dumps_typed(result)
    return {_VALUE: kind, "base64": base64.b64encode(body).decode("ascii"), "shown": _shown(result)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def _shown(value: Any) -> Any:
    try:
        return plain_json(value, "a result")
    except OmiumError:
        return str(value)


def _decoded(recorded: Any) -> Any:
    if not isinstance(recorded, dict):
        return recorded
    members = cast("dict[str, Any]", recorded)
    if _TUPLE in members:
        return tuple(map(_decoded, members[_TUPLE]))
    if _VALUE in members:
        return _serde.loads_typed((members[_VALUE], base64.b64decode(members["base64"])))
    if _INTERRUPT in members:
        _interrupt_again(members[_INTERRUPT])
    return members


# ---- interrupts


def _interrupted(error: GraphInterrupt) -> Any:
    asked = cast("tuple[Interrupt, ...]", error.args[0] if error.args else ())
    return {_INTERRUPT: [{"id": one.id, "value": _encoded(one.value)} for one in asked]}


def _interrupt_again(asked: list[dict[str, Any]]) -> None:
    """Raises what the tool raised."""
    if len(asked) == 1:
        value = _decoded(asked[0]["value"])
        # what it was answered before it is answered again, so that the graph counts as it did
        while True:
            interrupt(value)
    raise GraphInterrupt(tuple(Interrupt(value=_decoded(one["value"]), id=one["id"]) for one in asked))
