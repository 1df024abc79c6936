"""A framework's tools: marks on them, their record, and what their failure means.

1. A tool is marked by its `tags`, a plain attribute of the tool or of the function behind it: `omium:effect` records its
   intent before it is called, and it is never blindly called again. `reconcile`, beside it, is asked by the idempotency key
   what became of a call whose outcome is unknown; without one a person decides.
2. What a tool raised is recorded and reaches the framework as an exception, the same live and on replay.
3. An error of the platform (an outcome that nobody knows, a budget, a result that cannot be recorded) is nothing that a
   model could do something about: it ends the run, and is not told to the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn, cast

from ..context import Effect
from ..errors import OmiumError
from ..json import plain_json
from ..replay.run import Run
from .journal import current_run, record_call

EFFECT_TAG = "omium:effect"
CODE_TAG = "omium:code"
"""A tool that is code of the run: the calls that it makes are recorded, not it."""


class ToolFailedError(RuntimeError):
    """What a tool raised, as its framework is told."""


def tagged(tag: str, *marked: object) -> bool:
    """Whether any of these objects carries the tag."""
    return any(tag in (getattr(one, "tags", None) or ()) for one in marked)


def effect_of(*marked: object) -> bool | Effect:
    """How the call of a tool with these marks is recorded."""
    if not tagged(EFFECT_TAG, *marked):
        return False
    for one in marked:
        reconcile = getattr(one, "reconcile", None)
        if callable(reconcile):
            return Effect(cast("Any", reconcile))
    return True


async def record_tool(
    name: str, given: object, fn: Callable[..., Any], *, effect: bool | Effect = False, returns: Any = None
) -> Any:
    """The recorded result of a tool's call, or that of `fn`, as the type that the tool says it returns.

    `fn` may be async; one that is not runs in a thread. Raises ToolFailedError with what the tool raised.
    """
    run = current_run()
    if run is None:
        raise asyncio.CancelledError("the run is over")
    try:
        request = plain_json({"tool": name, "input": given}, f'the input of tool "{name}"')
        result = await record_call(run, name, name, request, fn, kind="tool", retry=False, effect=effect)
    except OmiumError as error:
        if error.code == "step_failed" and error.__cause__ is not None:
            raise ToolFailedError(str(error.__cause__)) from error
        await end_run(run, error)
    return _as_type(returns, result)


async def end_run(run: Run, error: OmiumError) -> NoReturn:
    """Ends the run with an error that its framework must not take for something to tell its model."""
    run.fail(error)
    # like all tasks of the run, this one is cancelled once its end is recorded
    await asyncio.get_running_loop().create_future()
    raise asyncio.CancelledError("the run is over")


def _as_type(returns: Any, value: Any) -> Any:
    """JSON as what a tool's signature promises; as it is when the signature says nothing that can be made of JSON."""
    if not isinstance(value, (dict, list)):
        return value
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(returns)
        return adapter.validate_python(value)
    except (PydanticSchemaGenerationError, PydanticUserError, ValueError, TypeError, NameError):
        return cast("Any", value)
