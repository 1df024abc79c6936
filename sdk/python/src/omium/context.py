"""The journaled world of one run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from .agent import Agent, AnyAgent, Schema
from .durations import Duration, duration_to_ms
from .errors import OmiumError
from .json import JsonValue, hash_json, plain_json, request_hash_of
from .policy import Retry, RetryPolicy, RunOptions, default_step_retry, no_retry, retry_policy
from .replay.activity import ambient
from .replay.call import MISSING, Missing, OpenCall
from .replay.paths import PathScope
from .replay.simulation import Simulation, replay_miss
from .replay.step_call import Reconcile, StepCall, StepInfo, StepPlan

if TYPE_CHECKING:
    from .llm.context import LlmContext
    from .protocol import WorkerMessage
    from .replay.run import Run

_T = TypeVar("_T")
_In = TypeVar("_In")
_Out = TypeVar("_Out")

Key = str | int | None


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect outside of the run, with whoever finds out what became of it when its outcome is unknown."""

    reconcile: Reconcile


@dataclass(frozen=True, slots=True)
class Decision:
    """What a human said."""

    approved: bool
    by: str
    comment: str | None = None
    timed_out: bool = False


_bare_hashes = {kind: request_hash_of({"kind": kind}) for kind in ("step", "llm", "tool", "value", "checkpoint")}


def refuse_inside_step(asked: str) -> None:
    """Refuses a call made from inside a step function: its result would be lost with the step's."""
    current = ambient.get()
    if current is not None and current.inside_step is not None:
        raise OmiumError(
            "invalid_request",
            f'ctx.{asked} was called inside step "{current.inside_step}"; steps are leaves: call it before or after the '
            "step, or make the step's function a plain function of the agent",
        )


def _simulated(
    run: Run,
    simulation: Simulation,
    path: str,
    name: str,
    kind: Literal["step", "tool", "wait", "approval", "child"],
    given: JsonValue | Missing,
    *,
    effect: bool,
    request_hash: str | None = None,
) -> StepCall:
    """A step whose function is the recordings: recorded under its own kind, so that another attempt repeats it."""
    if request_hash is None:
        bare = isinstance(given, Missing)
        request_hash = _bare_hashes[kind] if bare else request_hash_of({"kind": kind, "input": given})
    asked = request_hash

    async def answer() -> JsonValue:
        found = simulation.find(path, name, asked, effect=effect)
        if found is None:
            run.fail(replay_miss(path, kind, asked))
            raise asyncio.CancelledError
        if "error" in found:
            raise OmiumError.from_failure({**found["error"], "retryable": False})
        return found.get("value")

    plan = StepPlan(
        path=path,
        name=name,
        kind=kind,
        request_hash=asked,
        input=given,
        fn=answer,
        retry=no_retry,
        timeout_ms=None,
        reserve_micro_credits=None,
        reconcile=None,
    )
    return StepCall(run, plan)


async def ask_step(
    run: Run,
    path: str,
    name: str,
    fn: Callable[..., Any],
    *,
    kind: Literal["step", "llm", "tool", "value", "checkpoint"],
    input: JsonValue | Missing = MISSING,
    retry: Retry | bool | None = None,
    base_retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    effect: bool | Effect | None = None,
    reserve_micro_credits: int | None = None,
    reconcile: Reconcile | None = None,
) -> Any:
    """Plans and asks for a step; all steps of every kind come through here."""
    if run.simulation is not None and kind in ("step", "tool"):
        return await run.ask(_simulated(run, run.simulation, path, name, kind, input, effect=bool(effect)))
    plan = StepPlan(
        path=path,
        name=name,
        kind=kind,
        request_hash=_bare_hashes[kind]
        if isinstance(input, Missing)
        else request_hash_of({"kind": kind, "input": input}),
        input=input,
        fn=run.port.substitute(name, fn) if kind in ("step", "tool") else fn,
        retry=retry_policy(retry, base_retry or (no_retry if effect else default_step_retry)),
        timeout_ms=None if timeout is None else duration_to_ms(timeout),
        reserve_micro_credits=reserve_micro_credits if reserve_micro_credits is not None else (0 if effect else None),
        reconcile=reconcile or (effect.reconcile if isinstance(effect, Effect) else None),
    )
    return await run.ask(StepCall(run, plan))


class Context:
    """What an agent function is given. A method called inside a step function raises: steps are leaves.

    A call is made when its coroutine first runs: when it is awaited, or when the task that was made of it starts.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._scope = PathScope()
        self._llm: LlmContext | None = None
        self._log: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def execution_id(self) -> str:
        return self._run.execution_id

    @property
    def attempt(self) -> int:
        """Attempt of this execution, from 1."""
        return self._run.attempt

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that is silent while recorded history is replayed."""
        if self._log is None:
            self._log = _ReplaySilent(self._run)
        return self._log

    @property
    def llm(self) -> LlmContext:
        """Model calls."""
        if self._llm is None:
            from .llm.context import LlmContext

            self._llm = LlmContext(self._run, self._scope)
        return self._llm

    @overload
    async def step(
        self,
        name: str,
        fn: Callable[[], Awaitable[_T]] | Callable[[StepInfo], Awaitable[_T]],
        *,
        key: Key = None,
        input: object = MISSING,
        retry: Retry | bool | None = None,
        timeout: Duration | None = None,
        effect: bool | Effect | None = None,
    ) -> _T: ...
    @overload
    async def step(
        self,
        name: str,
        fn: Callable[[], _T] | Callable[[StepInfo], _T],
        *,
        key: Key = None,
        input: object = MISSING,
        retry: Retry | bool | None = None,
        timeout: Duration | None = None,
        effect: bool | Effect | None = None,
    ) -> _T: ...
    async def step(
        self,
        name: str,
        fn: Callable[..., Any],
        *,
        key: Key = None,
        input: object = MISSING,
        retry: Retry | bool | None = None,
        timeout: Duration | None = None,
        effect: bool | Effect | None = None,
    ) -> Any:
        """Runs `fn` once and records its result; a replay answers from the record. The result is what JSON keeps of it.

        `fn` may be async; one that is not runs in a thread. It is given a `StepInfo` when it takes an argument.
        `key` tells parallel calls of one name apart, whatever order they are made in.
        `input` is part of the recorded request: a replay with another input is a mismatch.
        `retry`: over the default of three tries (one for effects); False for a single try.
        `effect`: it has an effect outside: its intent is recorded first, and it is never blindly tried again after a crash.
        Raises OmiumError `step_failed`, `step_timeout`, `output_invalid`, `step_outcome_unknown`; `__cause__` names the
        user's own error.
        """
        refuse_inside_step("step")
        if not 0 < len(name) <= 200:
            raise OmiumError("invalid_request", f"a step's name has 1 to 200 characters, not {len(name)}")
        path = self._scope.next(name, key)
        given = input if isinstance(input, Missing) else plain_json(input, f'the input of step "{name}"')
        return await ask_step(
            self._run, path, name, fn, kind="step", input=given, retry=retry, timeout=timeout, effect=effect
        )

    @overload
    async def call(
        self,
        agent: Agent[_In, _Out],
        input: _In | object,
        *,
        key: Key = None,
        id: str | None = None,
        options: RunOptions | None = None,
    ) -> _Out: ...
    @overload
    async def call(
        self,
        agent: str,
        input: object,
        *,
        key: Key = None,
        id: str | None = None,
        options: RunOptions | None = None,
    ) -> JsonValue: ...
    async def call(
        self,
        agent: AnyAgent | str,
        input: object,
        *,
        key: Key = None,
        id: str | None = None,
        options: RunOptions | None = None,
    ) -> Any:
        """Runs another agent as a child execution and gives its output. Raises OmiumError `child_failed`.

        `id`: of the child execution; by default one that is derived from this run and step.
        """
        agent_id = agent if isinstance(agent, str) else agent.id
        if not isinstance(agent, str):
            self._run.port.met(agent)
        plain = plain_json(input, f'the input of agent "{agent_id}"')
        refuse_inside_step("call")
        return await ask_child(self._run, self._scope.next(agent_id, key), agent_id, plain, options, id)

    async def gather(self, *calls: Awaitable[Any]) -> list[Any]:
        """Waits for all, in parallel; the first error that is recorded is raised. The order of results is that of calls."""
        return list(await asyncio.gather(*calls))

    async def sleep(self, duration: Duration, *, key: Key = None) -> None:
        """Durable: the run holds no process while it sleeps. Seconds, a timedelta, or `"30s"`, `"5m"`, `"3d"`."""
        duration_ms = duration_to_ms(duration)
        await self._open(
            "sleep",
            "timer",
            "sleep",
            key,
            {"durationMs": duration_ms},
            lambda _: {"type": "timer_start", "durationMs": duration_ms},
        )

    async def wait_for(
        self, signal: str, *, schema: Any = None, timeout: Duration | None = None, key: Key = None
    ) -> Any:
        """Payload of the next unread signal of that name, checked by `schema` (a type that pydantic understands).

        Raises OmiumError `wait_timeout`, `input_invalid`.
        """
        timeout_ms = None if timeout is None else duration_to_ms(timeout)
        label = signal if key is None else f"{signal}:{key}"

        def body(_: str) -> WorkerMessage:
            message: WorkerMessage = {"type": "wait_start", "name": signal}
            if timeout_ms is not None:
                message["timeoutMs"] = timeout_ms
            return message

        answer = await self._open("wait_for", "wait", "wait", label, {"name": signal, "timeoutMs": timeout_ms}, body)
        if answer["timedOut"]:
            raise OmiumError("wait_timeout", f'the signal "{signal}" did not arrive within {timeout_ms} ms')
        payload = cast(JsonValue, answer["payload"])
        if schema is None:
            return payload
        checked: Schema[Any] = Schema(schema, f'the signal "{signal}"')
        return checked.parse(payload, f'the signal "{signal}"')

    async def approve(
        self, title: str, *, details: object = MISSING, timeout: Duration | None = None, key: Key = None
    ) -> Decision:
        """Asks a human. A refusal or a timeout is an answer (`approved` is False), not an error."""
        timeout_ms = None if timeout is None else duration_to_ms(timeout)
        plain = None if isinstance(details, Missing) else plain_json(details, f'the details of approval "{title}"')

        def body(_: str) -> WorkerMessage:
            message: WorkerMessage = {"type": "approval_request", "title": title}
            if not isinstance(details, Missing):
                message["details"] = plain
            if timeout_ms is not None:
                message["timeoutMs"] = timeout_ms
            return message

        request: JsonValue = {"title": title, "details": plain, "timeoutMs": timeout_ms}
        answer = await self._open("approve", "approval", "approve", key, request, body)
        return Decision(answer["approved"], answer["by"], answer.get("comment"), answer.get("timedOut", False))

    async def checkpoint(self, name: str, state: object, *, key: Key = None) -> None:
        """Keeps a state under a name, as it is at this moment, for people and for other programs.

        A replay keeps it no second time. Found under the run's id by the API and `omium checkpoints ls <run>`.
        Raises OmiumError `output_invalid`.
        """
        refuse_inside_step("checkpoint")
        if not 0 < len(name) <= 200:
            raise OmiumError("invalid_request", f"a checkpoint's name has 1 to 200 characters, not {len(name)}")
        kept = plain_json(state, f'the state of checkpoint "{name}"')
        path = self._scope.next(name, key)
        await ask_step(self._run, path, name, lambda: kept, kind="checkpoint", retry=False)

    async def now(self) -> float:
        """Recorded clock, ms since the epoch."""
        return cast(float, await self._value("now", self._run.port.now))

    async def uuid(self) -> str:
        """Recorded random UUID (version 4)."""
        return cast(str, await self._value("uuid", self._run.port.uuid))

    async def random(self) -> float:
        """Recorded random number, 0 <= n < 1."""
        return cast(float, await self._value("random", self._run.port.random))

    async def _value(self, name: str, fn: Callable[[], JsonValue]) -> JsonValue:
        refuse_inside_step(name)
        path = self._scope.next(name)
        return cast(JsonValue, await ask_step(self._run, path, name, fn, kind="value", retry=False))

    async def _open(
        self,
        method: str,
        kind: Literal["timer", "wait", "approval", "child"],
        name: str,
        key: Key,
        request: JsonValue,
        body: Callable[[str], WorkerMessage],
    ) -> Any:
        refuse_inside_step(method)
        return await ask_open(self._run, self._scope.next(name, key), kind, name, request, body)


async def ask_open(
    run: Run,
    path: str,
    kind: Literal["timer", "wait", "approval", "child"],
    name: str,
    request: JsonValue,
    body: Callable[[str], WorkerMessage],
) -> Any:
    """Asks for what the platform settles; all such calls come through here."""
    request_hash = request_hash_of({"kind": kind, "request": request})
    if run.simulation is None:
        return await run.ask(OpenCall(run, path, kind, request_hash, request, body))
    if kind == "timer":
        # nobody waits for the time to pass
        return await run.ask(OpenCall(run, path, kind, request_hash, request, lambda at: {**body(at), "durationMs": 0}))
    effect = kind == "child"
    return await run.ask(
        _simulated(run, run.simulation, path, name, kind, request, effect=effect, request_hash=request_hash)
    )


async def ask_child(
    run: Run, path: str, agent_id: str, given: JsonValue, options: RunOptions | None, id: str | None
) -> Any:
    """The output of another agent, run as a child execution. Raises OmiumError `child_failed`."""
    wire: dict[str, JsonValue] = options.wire() if options else {}
    request: dict[str, JsonValue] = {"agentId": agent_id, "input": given, "options": wire}
    if id is not None:
        request["id"] = id

    def body(path: str) -> WorkerMessage:
        return {
            "type": "child_start",
            "childId": id if id is not None else child_id_of(run.execution_id, path),
            "agentId": agent_id,
            "input": given,
            "options": wire,
        }

    return await ask_open(run, path, "child", agent_id, request, body)


def child_id_of(execution_id: str, path: str) -> str:
    """A child's id, the same in every attempt of its parent."""
    return f"exe_{hash_json([execution_id, path])[:32]}"


class _ReplaySilent(logging.LoggerAdapter[logging.Logger]):
    def __init__(self, run: Run) -> None:
        super().__init__(run.port.log, {"executionId": run.execution_id, "attempt": run.attempt})
        self._run = run

    def isEnabledFor(self, level: int) -> bool:
        return not self._run.replaying and super().isEnabledFor(level)
