"""Durable agents: plain async functions whose calls through `ctx` are recorded."""

from __future__ import annotations

import platform
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from .errors import OmiumError
from .json import JsonValue
from .policy import RunOptions

if TYPE_CHECKING:
    from .context import Context

Input = TypeVar("Input")
Output = TypeVar("Output")

_CALLER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

RUNTIME = f"python {platform.python_version()}"


def issues_of(error: Exception) -> str:
    """Lists what is wrong with a value, one line for each: `topic: Input should be a valid string`."""
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return str(error)
    issues = cast("list[dict[str, Any]]", errors())
    return "; ".join(f"{'.'.join(map(str, issue['loc'])) or '(root)'}: {issue['msg']}" for issue in issues)


class Schema(Generic[Input]):
    """What a value must look like: any type that pydantic understands."""

    def __init__(self, kind: Any, what: str) -> None:
        try:
            from pydantic import TypeAdapter
        except ImportError as cause:
            raise OmiumError(
                "settings_invalid", f"{what} names a type to check against: install omium[pydantic]", cause=cause
            ) from cause
        self._adapter: TypeAdapter[Input] = TypeAdapter(kind)

    def json_schema(self) -> dict[str, JsonValue]:
        """JSON Schema of what may come."""
        return cast("dict[str, JsonValue]", self._adapter.json_schema(mode="validation"))

    def parse(self, value: JsonValue, what: str) -> Input:
        """The checked value. Raises OmiumError `input_invalid` naming each place."""
        try:
            return self._adapter.validate_python(value)
        except ValueError as cause:
            raise OmiumError("input_invalid", f"{what} does not fit: {issues_of(cause)}", cause=cause) from cause


class Agent(Generic[Input, Output]):
    """A durable workflow. `Input` is what its function gets, `Output` what its result gives.

    It can be called as the plain function it was made from.
    """

    def __init__(
        self,
        fn: Callable[[Input, Context], Awaitable[Output]],
        agent_id: str,
        schema: Schema[Input] | None,
        description: str | None,
        defaults: RunOptions | None,
        budget_micro_credits: int | None,
    ) -> None:
        self.fn = fn
        self.id = agent_id
        self.mismatch_grace_ms = 500
        """how long code that does I/O of its own may take to ask for what the journal has next, before it is a mismatch"""
        self.isolated = False
        """whether each of its attempts gets a process of its own unless the worker is told otherwise: code of a framework,
        which may hang, leak or block"""
        self.forkable: bool | Callable[[], bool] = True
        """whether such a process may be forked from one that has imported the agent; else each is a fresh interpreter that
        imports it anew. Not where the import opens what does not survive a fork: a native library that has threads.
        A function is asked once all agents of a worker are imported"""
        self._schema = schema
        self.budget_micro_credits = (
            budget_micro_credits
            if budget_micro_credits is not None
            else (defaults.budget_micro_credits if defaults else None)
        )
        wire = defaults.wire() if defaults else {}
        if self.budget_micro_credits is not None:
            wire["budgetMicroCredits"] = self.budget_micro_credits
        self.definition: dict[str, JsonValue] = {"agentId": agent_id, "runtime": RUNTIME}
        """how the worker announces it to the platform"""
        if description is not None:
            self.definition["description"] = description
        if schema is not None:
            self.definition["inputSchema"] = schema.json_schema()
        if wire:
            self.definition["defaults"] = wire

    def __call__(self, input: Input, ctx: Context) -> Awaitable[Output]:
        return self.fn(input, ctx)

    def __repr__(self) -> str:
        return f"Agent({self.id!r})"

    async def execute(self, input: JsonValue, ctx: Context) -> Output:
        """Checks the input and runs the workflow. Raises OmiumError `input_invalid`."""
        given = (
            cast(Input, input) if self._schema is None else self._schema.parse(input, f"the input of agent {self.id}")
        )
        return await self.fn(given, ctx)


AnyAgent: TypeAlias = "Agent[Any, Any]"


def agent(
    *,
    id: str | None = None,
    input: Any = None,
    description: str | None = None,
    defaults: RunOptions | None = None,
    budget_micro_credits: int | None = None,
) -> Callable[[Callable[[Input, Context], Awaitable[Output]]], Agent[Input, Output]]:
    """Makes an async function `run(input, ctx)` a durable agent.

    Everything that is not deterministic (I/O, time, randomness) goes through `ctx`, so that a new attempt replays to the
    same point.

    `id`: 1 to 128 of `A-Z a-z 0-9 . _ -`, what clients start it by; the function's name unless given.
    `input`: a type that pydantic can check, whose JSON Schema is announced; without one any JSON value is passed on.
    `defaults`: options of a run whose start names none.
    `budget_micro_credits`: cap on what one run and its children may spend on models, millionths of a credit (1 = 1 USD).
    Raises OmiumError `settings_invalid` when id or description do not fit.
    """

    def decorate(fn: Callable[[Input, Context], Awaitable[Output]]) -> Agent[Input, Output]:
        agent_id = id if id is not None else getattr(fn, "__name__", "")
        if not _CALLER_ID.fullmatch(agent_id):
            raise OmiumError(
                "settings_invalid",
                f"agent {agent_id!r}: use 1 to 128 of A-Z a-z 0-9 . _ - and start with a letter or digit",
            )
        if description is not None and len(description) > 2000:
            raise OmiumError("settings_invalid", f"agent {agent_id!r}: the description is longer than 2000 characters")
        schema: Schema[Input] | None = None if input is None else Schema(input, f"agent {agent_id!r}")
        return Agent(fn, agent_id, schema, description, defaults, budget_micro_credits)

    return decorate
