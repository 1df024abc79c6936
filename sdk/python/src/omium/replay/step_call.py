"""A step: runs a function of the user and reports its result.

1. With an intent, the function runs only after the intent is acknowledged, and with the platform's idempotency key.
2. One try has one outcome: what arrives after a timeout or after the attempt's end is dropped.
3. The engine decides about another try; the step waits for its answer.
4. An effect that timed out has an unknown outcome: its reconciler decides, or it fails as `step_outcome_unknown` without
   another try.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from ..errors import Failure, OmiumError
from ..json import JsonValue, plain_json
from ..policy import RetryPolicy, no_retry
from ..protocol import EngineMessage, JournalEntry
from .activity import Ambient, ambient
from .call import Call, Missing
from .failures import failure_of, forbids_retry

if TYPE_CHECKING:
    from ..llm.model import Usage
    from .run import Run

MARKER_DELAY_MS = 100
"""A step that runs for longer is marked as started, once a try."""

_DELTA_LIMIT = 64 * 1024
"""Characters of one message of live output."""

_OWN_FAULT = ("payload_too_large", "output_invalid", "budget_exceeded", "invalid_request")
"""Refusals of a result that the step itself is to blame for: they become its recorded failure."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A reconciler found that the effect happened, and what it gave."""

    output: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """A reconciler found that the effect failed for good."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class TryAgain:
    """A reconciler found that the effect did not happen: it may be tried again."""


Reconciliation: TypeAlias = "Completed | Failed | TryAgain"
Reconcile: TypeAlias = "Callable[[str], Reconciliation | Awaitable[Reconciliation]]"
"""Asks the outside world, by the idempotency key, whether the effect happened."""


class StepInfo:
    """What a step function is given, when it takes an argument."""

    __slots__ = ("_step", "_try_number", "attempt")

    def __init__(self, step: StepCall, try_number: int, attempt: int) -> None:
        self._step = step
        self._try_number = try_number
        self.attempt = attempt
        """try of this step, from 1"""

    @property
    def idempotency_key(self) -> str:
        """The same for every try of this step in every attempt of the run; minted by the platform for effects."""
        return self._step.key

    @property
    def cancelled(self) -> bool:
        """The step timed out, or the attempt ended: nothing it returns counts. Async functions are cancelled besides."""
        return not self._step.is_running(self._try_number)

    def show(self, text: str) -> None:
        """Shows live output to whoever watches the run; it is never recorded. Safe to call from any thread."""
        self._step.show(self._try_number, text)

    def report_usage(self, usage: Usage) -> None:
        """Records what this try cost in the event of its result."""
        self._step.usage = usage


_current_info: ContextVar[StepInfo | None] = ContextVar("omium_step_info", default=None)


def current_step() -> StepInfo | None:
    """The step whose function is running: how the tool of a framework gets its idempotency key. None outside of steps."""
    return _current_info.get()


@dataclass(frozen=True, slots=True)
class StepPlan:
    path: str
    name: str
    # the last three only in a simulated run, which answers them from recordings
    kind: Literal["step", "llm", "tool", "value", "checkpoint", "wait", "approval", "child"]
    request_hash: str
    input: JsonValue | Missing
    fn: Callable[..., Any]
    retry: RetryPolicy
    timeout_ms: int | None
    reserve_micro_credits: int | None
    """set when the intent is recorded before `fn` runs: the worst case of what it may cost"""
    reconcile: Reconcile | None


def takes_info(fn: Callable[..., Any]) -> bool:
    """Whether a function has a positional parameter without a default: then it is given the `StepInfo`."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in parameters
    )


def _is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


class StepCall(Call):
    """See the module's invariants."""

    def __init__(self, run: Run, plan: StepPlan) -> None:
        super().__init__(run, plan.path, plan.kind, plan.request_hash, plan.input)
        self.usage: Usage | None = None
        self._plan = plan
        self._context = contextvars.copy_context()
        self._context.run(ambient.set, Ambient(run, plan.name))
        self._step_attempt = 1
        self._idempotency_key: str | None = None
        self._phase: Literal["idle", "intent", "running", "reported", "reconciling", "reconciled"] = "idle"
        self._tries = 0
        self._started_at = 0.0
        self._output: JsonValue = None
        # what was reported last, when that was a failure
        self._failure: Failure | None = None
        self._task: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def key(self) -> str:
        """Minted by the platform for effects, derived for all others; the same in every try and attempt."""
        return self._idempotency_key or f"{self.run.execution_id}/{self.path}"

    def start(self) -> None:
        if self._plan.reserve_micro_credits is None:
            self._execute()
            return
        self._phase = "intent"
        self.run.port.send(
            {
                "type": "step_started",
                **self._head(),
                "intent": {"reserveMicroCredits": self._plan.reserve_micro_credits},
            }
        )

    def reopen(self, entry: JournalEntry) -> None:
        self._step_attempt = entry.get("stepAttempt", 1)
        if entry["status"] == "retrying":
            self._phase = "idle"
            self.run.retry_at(self, entry.get("retryAt", 0))
        elif entry["status"] == "unknown":
            self._idempotency_key = entry.get("idempotencyKey")
            self._reconcile()

    def acked(self, ack: EngineMessage) -> None:
        if "idempotencyKey" in ack:
            self._idempotency_key = ack["idempotencyKey"]
        if "entry" in ack and ack["entry"]["status"] != "pending":
            self.entered(ack["entry"])
        elif self._phase == "intent":
            self._execute()
        elif self._phase == "reported":
            self.settle(None if self._failure is not None else self._output, self._failure)
        else:
            self.run.opened(self)

    def nacked(self, error: Failure) -> None:
        may_concede = self._phase == "intent" or (self._phase == "reported" and self._failure is None)
        if may_concede and error["code"] in _OWN_FAULT:
            if self._phase == "intent":
                self._started_at = self.run.port.now()
            self._report_failure({**error, "retryable": False}, no_retry)
        else:
            self.run.refused(error, self.path)

    def is_running(self, try_number: int) -> bool:
        """Whether what that try returns still counts. Safe to ask from any thread."""
        return self._phase == "running" and self._tries == try_number and not self.run.closed

    def show(self, try_number: int, text: str) -> None:
        """Live output of that try. Safe to call from any thread."""
        loop = self.run.port.loop
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            self._show(try_number, text)
        else:
            # comes before the result of the try, which takes the same way
            loop.call_soon_threadsafe(self._show, try_number, text, context=contextvars.Context())

    def _show(self, try_number: int, text: str) -> None:
        if not self.is_running(try_number):
            return
        for start in range(0, len(text), _DELTA_LIMIT):
            part = text[start : start + _DELTA_LIMIT]
            self.run.port.send({"type": "delta", **self.run.ids, "path": self.path, "text": part})

    def abort(self, why: str) -> None:
        """The attempt is over."""
        self._unwatch()
        if self._task is not None:
            self._task.cancel(why)

    # ---- running the function

    def _execute(self) -> None:
        self._phase = "running"
        self._tries += 1
        self.usage = None
        self._started_at = self.run.port.now()
        self.run.running.add(self)
        loop = self.run.port.loop
        if self._plan.kind not in ("value", "checkpoint"):
            outside = contextvars.Context()
            self._timers.append(loop.call_later(MARKER_DELAY_MS / 1000, self._mark_started, context=outside))
            if self._plan.timeout_ms is not None:
                self._timers.append(loop.call_later(self._plan.timeout_ms / 1000, self._timed_out, context=outside))
            self._task = loop.create_task(self._attempt(self._tries), context=self._context.copy())
            return
        try:
            output = self._plan.fn()
        except Exception as error:
            self._raised(self._tries, error)
        else:
            self._returned(self._tries, output)

    async def _attempt(self, try_number: int) -> None:
        try:
            output = await self._call_user(try_number)
        except asyncio.CancelledError as error:
            # by the timeout or the attempt's end nothing is left to say; raised by user code it is an error like others
            self._raised(try_number, error)
        except BaseException as error:
            # a SystemExit in a tool fails the tool, not the worker
            self._raised(try_number, error)
        else:
            self._returned(try_number, output)

    async def _call_user(self, try_number: int) -> object:
        fn = self._plan.fn
        info = StepInfo(self, try_number, self._step_attempt)
        _current_info.set(info)
        args = (info,) if takes_info(fn) else ()
        if _is_async(fn):
            owner = os.getpid()
            try:
                return await fn(*args)
            finally:
                _leave_if_forked(owner)
        # whatever is not async may block: not the loop, on which heartbeats of user code and other runs depend
        context = contextvars.copy_context()
        loop = self.run.port.loop
        result: object = await loop.run_in_executor(self.run.port.executor, lambda: context.run(_guarded, fn, args))
        return await cast("Awaitable[object]", result) if inspect.isawaitable(result) else result

    def _returned(self, try_number: int, value: object) -> None:
        if not self.is_running(try_number):
            return
        try:
            self._output = plain_json(value, f'the output of step "{self._plan.name}"')
        except OmiumError as error:
            self._raised(try_number, error)
            return
        self._leave_running()
        self._report_completion()

    def _raised(self, try_number: int, error: BaseException) -> None:
        if not self.is_running(try_number):
            return
        self._leave_running()
        retryable = not forbids_retry(error, self._plan.retry["nonRetryable"])
        self._report_failure(
            failure_of(error, "step_failed", f'step "{self._plan.name}"', retryable),
            _delayed_by(self._plan.retry, error) if retryable else no_retry,
        )

    def _mark_started(self) -> None:
        if self.run.closed or self._plan.reserve_micro_credits is not None:
            return
        self.run.port.send({"type": "step_started", **self._head(answered=False)})

    def _timed_out(self) -> None:
        plan = self._plan
        task = self._task
        self._leave_running()
        if task is not None:
            task.cancel("the step timed out")
        detail = f'step "{plan.name}" ran for more than {plan.timeout_ms} ms'
        if plan.reserve_micro_credits is None or plan.kind == "llm":
            self._report_failure(OmiumError("step_timeout", detail).to_failure(), plan.retry)
        elif plan.reconcile is not None:
            self._reconcile()
        else:
            unknown = (
                f"{detail}: it is not known whether its effect happened; give it a reconciler or look it up by hand"
            )
            self._report_failure(OmiumError("step_outcome_unknown", unknown).to_failure(), no_retry)

    def _leave_running(self) -> None:
        self._phase = "idle"
        self._task = None
        self._unwatch()
        self.run.running.discard(self)
        self.run.port.schedule(self.run)

    def _unwatch(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # ---- outcomes in doubt

    def _reconcile(self) -> None:
        reconcile = self._plan.reconcile
        if reconcile is None:
            self.run.opened(self)
            return
        timed_out = self._started_at > 0
        self._phase = "reconciling"
        self.run.running.add(self)
        self._task = self.run.port.loop.create_task(
            self._ask_reconciler(reconcile, timed_out), context=self._context.copy()
        )

    async def _ask_reconciler(self, reconcile: Reconcile, timed_out: bool) -> None:
        name = self._plan.name
        try:
            if _is_async(reconcile):
                found = await cast("Awaitable[Reconciliation]", reconcile(self.key))
            else:
                context = contextvars.copy_context()
                result = await self.run.port.loop.run_in_executor(
                    self.run.port.executor, lambda: context.run(_guarded, reconcile, (self.key,))
                )
                found = cast("Reconciliation", await result if inspect.isawaitable(result) else result)
        except BaseException as error:
            if self.run.closed or self.settled:
                return
            self._leave_running()
            self.run.port.log.error('the reconciler of step "%s" failed; a human must decide', name, exc_info=error)
            if timed_out:
                doubt = OmiumError("step_outcome_unknown", f'the reconciler of step "{name}" failed', cause=error)
                self._report_failure(failure_of(doubt, "step_failed", name, False), no_retry)
            else:
                self.run.opened(self)
            return
        if self.run.closed or self.settled:
            return
        self._leave_running()
        self._reconciled(found, timed_out)

    def _reconciled(self, found: Reconciliation, timed_out: bool) -> None:
        """An outcome in doubt on the log is resolved there; one that this very try left open is simply reported."""
        name = self._plan.name
        what = f'step "{name}"'
        output: JsonValue = None
        failure: Failure | None = None
        if isinstance(found, Completed):
            try:
                output = plain_json(found.output, f'the reconciled output of step "{name}"')
            except OmiumError as error:
                failure = failure_of(error, "step_failed", what, False)
        elif isinstance(found, Failed):
            failure = failure_of(found.error, "step_failed", what, False)
        if timed_out:
            if failure is not None:
                self._report_failure(failure, no_retry)
            elif isinstance(found, Completed):
                self._output = output
                self._report_completion()
            else:
                timeout = OmiumError("step_timeout", f"{what} timed out")
                self._report_failure(timeout.to_failure(), self._plan.retry)
            return
        self._phase = "reconciled"
        resolution: dict[str, Any]
        if failure is not None:
            resolution = {"status": "failed", "error": failure}
        elif isinstance(found, Completed):
            resolution = {"status": "completed", "output": output}
        else:
            resolution = {"status": "retry"}
        self.run.port.send(
            {
                "type": "step_reconciled",
                **self.run.ids,
                "seq": self.run.next_seq(self),
                "path": self.path,
                "resolution": resolution,
            }
        )

    # ---- reports

    def _report_completion(self) -> None:
        self._phase = "reported"
        self._failure = None
        self.run.port.send({"type": "step_completed", **self._head(), "output": self._output, **self._took()})

    def _report_failure(self, error: Failure, retry: RetryPolicy) -> None:
        self._phase = "reported"
        self._failure = error
        self.run.port.send({"type": "step_failed", **self._head(), "error": error, "retry": retry, **self._took()})

    def _took(self) -> dict[str, Any]:
        took: dict[str, Any] = {
            "startedAt": self._started_at,
            "durationMs": max(0.0, self.run.port.now() - self._started_at),
        }
        if self.usage is not None:
            took["usage"] = self.usage
        return took

    def _head(self, answered: bool = True) -> dict[str, Any]:
        plan = self._plan
        head: dict[str, Any] = {
            **self.run.ids,
            "seq": self.run.next_seq(self if answered else None),
            "path": self.path,
            "name": plan.name,
            "kind": plan.kind,
            "stepAttempt": self._step_attempt,
            "requestHash": self.request_hash,
        }
        if self.has_input:
            head["input"] = self.shown_input
        return head


class _StepStopped(Exception):
    """`StopIteration` can't travel through a future."""


def _leave_if_forked(owner: int) -> None:
    """A process that the step's function forked ends when it comes back: the run goes on in the one that it began in."""
    if os.getpid() != owner:
        os._exit(0)


def _guarded(fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    owner = os.getpid()
    try:
        return fn(*args)
    except StopIteration as error:
        raise _StepStopped("the step's function raised StopIteration") from error
    except (SystemExit, KeyboardInterrupt) as error:
        # a thread's exit would be swallowed or end the process: it is the step's failure
        raise RuntimeError(f"the step's function raised {type(error).__name__}({error})") from error
    finally:
        _leave_if_forked(owner)


def _delayed_by(retry: RetryPolicy, error: BaseException) -> RetryPolicy:
    """A provider that said when to come back is asked again no sooner."""
    data = error.data if isinstance(error, OmiumError) else None
    wait = data.get("retryAfterMs") if isinstance(data, dict) else None
    if not isinstance(wait, (int, float)) or wait <= retry["initialDelayMs"]:
        return retry
    initial = min(int(wait), 86_400_000)
    return {**retry, "initialDelayMs": initial, "maxDelayMs": max(retry["maxDelayMs"], initial)}
