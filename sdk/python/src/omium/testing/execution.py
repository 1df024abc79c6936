"""An execution as the harness keeps it: the journal and the rules by which the platform's engine answers a worker, without
the log, the network and real time. For the tests of users; no part of the product's own path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from ..agent import AnyAgent
from ..client.checkpoints import NewCheckpoint
from ..errors import DETAIL_LIMIT, Failure, OmiumError, clip
from ..json import JsonValue, dumps
from ..policy import RetryPolicy, no_retry
from ..protocol import EngineMessage, JournalEntry, WorkerMessage
from .virtual_clock import VirtualClock

_VALUE_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(slots=True)
class AttemptReport:
    attempt: int
    executed: list[str] = field(default_factory=list[str])
    """paths of the steps whose function ran in this attempt, in the order of their recording"""
    replayed: list[str] = field(default_factory=list[str])
    """paths that were answered from the journal"""
    ended: Literal["completed", "failed", "crashed", "waiting", "running"] = "running"


@dataclass(frozen=True, slots=True)
class Outcome:
    status: Literal["completed", "failed", "waiting"]
    output: JsonValue = None
    error: Failure | None = None
    waiting_for: tuple[str, ...] = ()


class ExecutionHost(Protocol):
    """What an execution asks of the engine around it."""

    clock: VirtualClock

    def deliver(self, message: EngineMessage) -> None:
        """To the run of that attempt, in order."""
        ...

    def start_attempt(self, execution: TestExecution) -> None: ...
    def stop_attempt(self, execution: TestExecution) -> None: ...
    def start_child(
        self, message: WorkerMessage, budget_micro_credits: int | None, done: Callable[[Outcome, int], None]
    ) -> None:
        """`done` takes what the child has spent, micro-credits, with its outcome."""
        ...

    def budget_of(self, agent_id: str) -> int | None:
        """What the agent may spend in each run of it, micro-credits."""
        ...

    def approve(self, title: str, path: str, details: JsonValue) -> dict[str, JsonValue] | None: ...
    def crashes_after(self, path: str) -> bool:
        """Whether the process dies now that this path is recorded."""
        ...


def _delay_of(retry: RetryPolicy, attempt: int) -> float:
    """Backoff of the next try, ms, without the jitter of the platform."""
    return min(retry["maxDelayMs"], retry["initialDelayMs"] * retry["backoff"] ** (attempt - 1))


class TestExecution:
    """One execution."""

    __test__ = False

    def __init__(
        self,
        host: ExecutionHost,
        execution_id: str,
        agent: AnyAgent,
        given: JsonValue,
        signals: list[tuple[str, JsonValue]],
        finished: Callable[[Outcome, int], None],
        extras: EngineMessage | None = None,
        journal: Sequence[JournalEntry] = (),
        budget_micro_credits: int | None = None,
    ) -> None:
        """`extras`: further members of each `assign`; `journal`: what is recorded before it begins; `budget_micro_credits`:
        what it was granted, absent: what its agent may spend."""
        self.id = execution_id
        self.agent = agent
        self.attempts: list[AttemptReport] = []
        self.outcome: Outcome | None = None
        self.states: list[NewCheckpoint] = []
        """what frameworks gave as their state, in all attempts"""
        self._input = given
        self._host = host
        self._finished = finished
        self._settled: list[JournalEntry] = []
        self._known: dict[str, JournalEntry] = {}
        self._intents: dict[str, int] = {}
        self._signals: dict[str, list[JsonValue]] = {}
        self._waits: list[tuple[str, str]] = []
        self._timers: dict[str, Callable[[], None]] = {}
        self._budget = agent.budget_micro_credits if budget_micro_credits is None else budget_micro_credits
        self._spent = 0
        self._granted = 0
        self._failed_attempts = 0
        self._extras = extras
        for entry in journal:
            self._record(entry)
        for name, value in signals:
            self.signal(name, value)

    @property
    def attempt(self) -> int:
        return len(self.attempts)

    @property
    def assign(self) -> EngineMessage:
        message: EngineMessage = {
            "type": "assign",
            "executionId": self.id,
            "attempt": self.attempt,
            "agentId": self.agent.id,
            "input": self._input,
            "journalEntries": len(self.journal),
        }
        if self._budget is not None:
            message["budgetMicroCredits"] = self._budget
        return {**message, **self._extras} if self._extras else message

    @property
    def journal(self) -> list[JournalEntry]:
        """Settled entries in the order of their recording, then the open ones."""
        opened = [entry for entry in self._known.values() if entry["status"] not in ("completed", "failed")]
        return [*self._settled, *opened]

    def begin(self) -> None:
        """Starts the next attempt."""
        replayed = [entry["path"] for entry in self._settled]
        self.attempts.append(AttemptReport(self.attempt + 1, replayed=replayed))
        self._host.start_attempt(self)
        self._host.deliver(
            {
                "type": "journal",
                "executionId": self.id,
                "attempt": self.attempt,
                "entries": self.journal,
                "last": True,
            }
        )

    def signal(self, name: str, value: JsonValue) -> None:
        """A signal arrives."""
        for index, (path, waited) in enumerate(self._waits):
            if waited == name:
                del self._waits[index]
                self._resolve(path, {"timedOut": False, "payload": value})
                return
        self._signals.setdefault(name, []).append(value)

    def receive(self, message: WorkerMessage, claims: int = 1) -> None:
        """A message of the worker. `claims`: how many that were sent together, from this one on, draw on the budget."""
        if self.outcome is not None or message["attempt"] != self.attempt:
            return
        match message["type"]:
            case "step_started":
                if "intent" in message:
                    self._intent(message, message["intent"]["reserveMicroCredits"])
            case "step_completed" | "step_failed":
                self._step_result(message)
            case "step_reconciled":
                self._reconciled(message)
            case "timer_start":
                self._opening(message, "timer", message["durationMs"], lambda: None)
            case "wait_start":
                self._wait(message)
            case "approval_request":
                decision = self._host.approve(message["title"], message["path"], message.get("details"))
                if decision is not None:
                    self._answer(message, "approval", decision)
                else:
                    refusal: JsonValue = {"approved": False, "by": "timeout", "timedOut": True}
                    self._opening(message, "approval", message.get("timeoutMs"), lambda: refusal)
            case "child_start":
                self._child(message, claims)
            case "complete":
                if self._too_large(message):
                    return
                self._end("completed", Outcome("completed", output=message["output"]))
            case "fail":
                self._failed(message["error"], message.get("rerun", []))
            case "abandon":
                error = OmiumError("worker_lost", message["detail"]).to_failure()
                self._end("failed", Outcome("failed", error=error))
            case _:
                pass

    def crash(self) -> None:
        """The process of the attempt died: what it did not have recorded is lost, open intents are in doubt."""
        self.attempts[-1].ended = "crashed"
        self._host.stop_attempt(self)
        for path in self._intents:
            entry = self._known[path]
            if entry["status"] == "pending":
                self._known[path] = {
                    "path": path,
                    "requestHash": entry["requestHash"],
                    "kind": entry["kind"],
                    "status": "unknown",
                    "stepAttempt": 1,
                    "idempotencyKey": self._key_of(path),
                }
        self.begin()

    def give_up(self) -> None:
        """Nothing can happen any more without someone outside."""
        waiting_for = tuple(entry["path"] for entry in self.journal if entry["status"] in ("pending", "unknown"))
        self.attempts[-1].ended = "waiting"
        self.outcome = Outcome("waiting", waiting_for=waiting_for)
        self._host.stop_attempt(self)
        self._finished(self.outcome, self._spent)

    def _key_of(self, path: str) -> str:
        return f"{self.id}/{path}"

    @property
    def _left(self) -> int | None:
        """Of the budget, micro-credits."""
        if self._budget is None:
            return None
        return self._budget - self._spent - sum(self._intents.values()) - self._granted

    def _child(self, message: WorkerMessage, claims: int) -> None:
        left = None if self._left is None else max(0, self._left)
        asked: int | None = message["options"].get("budgetMicroCredits", self._host.budget_of(message["agentId"]))
        budget = asked
        if left is not None:
            budget = left // claims if asked is None else min(asked, left)
        granted = budget if left is not None and budget is not None else 0
        self._granted += granted
        self._opening(message, "child", None, lambda: None)

        def ended(outcome: Outcome, spent: int) -> None:
            self._granted -= granted
            self._spent += spent
            self._child_ended(message, outcome)

        self._host.start_child(message, budget, ended)

    def _intent(self, message: WorkerMessage, reserve: int) -> None:
        path = message["path"]
        left = self._left
        if left is not None and reserve > left:
            detail = f'"{path}" may cost {reserve} micro-credits; {left} of the budget are left'
            self._nack(message["seq"], OmiumError("budget_exceeded", detail).to_failure())
            return
        self._intents[path] = reserve
        self._known[path] = _entry(message, message["kind"], "pending")
        self._ack(message["seq"], key=self._key_of(path))

    def _step_result(self, message: WorkerMessage) -> None:
        if self._too_large(message):
            return
        path = message["path"]
        self.attempts[-1].executed.append(path)
        self._intents.pop(path, None)
        self._spent += message.get("usage", {}).get("costMicroCredits", 0)
        if message["type"] == "step_completed":
            self._record({**_entry(message, message["kind"], "completed"), "value": message["output"]})
            self._crash_or(path, lambda: self._ack(message["seq"]))
            return
        error, retry, step_attempt = message["error"], message["retry"], message["stepAttempt"]
        if error["retryable"] and step_attempt < retry["maxAttempts"]:
            entry: JournalEntry = {
                **_entry(message, message["kind"], "retrying"),
                "stepAttempt": step_attempt + 1,
                "retryAt": self._host.clock.now() + _delay_of(retry, step_attempt),
            }
            self._known[path] = entry
        else:
            entry = {**_entry(message, message["kind"], "failed"), "error": error}
            self._record(entry)
        self._crash_or(path, lambda: self._ack(message["seq"], entry))

    def _too_large(self, message: WorkerMessage) -> bool:
        """Whether the platform would refuse the value that it has: then it is refused here, too."""
        size = len(dumps(message.get("output")).encode())
        if size <= _VALUE_LIMIT_BYTES:
            return False
        detail = (
            f"the value has {size} bytes, {_VALUE_LIMIT_BYTES} are allowed; store it elsewhere and pass a reference"
        )
        self._nack(message["seq"], OmiumError("payload_too_large", detail).to_failure())
        return True

    def _reconciled(self, message: WorkerMessage) -> None:
        path, resolution = message["path"], message["resolution"]
        entry = self._known.get(path)
        if entry is None or entry["status"] != "unknown":
            error = OmiumError("outcome_not_unknown", f'the outcome of "{path}" is not in doubt')
            self._nack(message["seq"], error.to_failure())
            return
        self._intents.pop(path, None)
        settled: JournalEntry
        if resolution["status"] == "retry":
            settled = {
                **entry,
                "status": "retrying",
                "stepAttempt": entry.get("stepAttempt", 1) + 1,
                "retryAt": self._host.clock.now(),
            }
            self._known[path] = settled
        elif resolution["status"] == "completed":
            settled = {**entry, "status": "completed", "value": resolution["output"]}
            self._record(settled)
        else:
            settled = {**entry, "status": "failed", "error": resolution["error"]}
            self._record(settled)
        self._ack(message["seq"], settled)

    def _wait(self, message: WorkerMessage) -> None:
        unread = self._signals.get(message["name"])
        if unread:
            self._answer(message, "wait", {"timedOut": False, "payload": unread.pop(0)})
            return
        waited = (message["path"], message["name"])
        self._waits.append(waited)

        def expired() -> JsonValue:
            if waited in self._waits:
                self._waits.remove(waited)
            return {"timedOut": True}

        self._opening(message, "wait", message.get("timeoutMs"), expired)

    def _opening(
        self, message: WorkerMessage, kind: str, after_ms: float | None, expired: Callable[[], JsonValue]
    ) -> None:
        path = message["path"]
        self._known[path] = _entry(message, kind, "pending")
        if after_ms is not None:
            clock = self._host.clock
            self._timers[path] = clock.at(clock.now() + after_ms, lambda: self._resolve(path, expired()))
        self._ack(message["seq"])

    def _answer(self, message: WorkerMessage, kind: str, value: JsonValue) -> None:
        entry: JournalEntry = {**_entry(message, kind, "completed"), "value": value}
        self._record(entry)
        self._crash_or(message["path"], lambda: self._ack(message["seq"], entry))

    def _child_ended(self, message: WorkerMessage, outcome: Outcome) -> None:
        if outcome.status == "completed":
            self._resolve(message["path"], outcome.output)
        elif outcome.error is not None:
            error = outcome.error
            detail = f'agent "{message["agentId"]}" failed: {error["code"]}: {error["detail"]}'
            failure: Failure = {"code": "child_failed", "detail": clip(detail, DETAIL_LIMIT), "retryable": False}
            if "cause" in error:
                failure["cause"] = error["cause"]
            entry = self._known[message["path"]]
            self._settle_open({**entry, "status": "failed", "error": failure})

    def _resolve(self, path: str, value: JsonValue) -> None:
        entry = self._known[path]
        self._settle_open({**entry, "status": "completed", "value": value})

    def _settle_open(self, entry: JournalEntry) -> None:
        path = entry["path"]
        if self.outcome is not None or self._known[path]["status"] != "pending":
            return
        cancel = self._timers.pop(path, None)
        if cancel is not None:
            cancel()
        self._record(entry)
        self._crash_or(
            path,
            lambda: self._host.deliver(
                {"type": "resolve", "executionId": self.id, "attempt": self.attempt, "entry": entry}
            ),
        )

    def _record(self, entry: JournalEntry) -> None:
        self._known[entry["path"]] = entry
        self._settled.append(entry)

    def _crash_or(self, path: str, go_on: Callable[[], None]) -> None:
        if self._host.crashes_after(path):
            self.crash()
        else:
            go_on()

    def _forget(self, path: str) -> None:
        """A failed step that another attempt is to run anew; opened calls keep their failure."""
        for index, entry in enumerate(self._settled):
            if entry["path"] == path and entry["status"] == "failed":
                if entry["kind"] in ("step", "llm", "tool", "value"):
                    del self._settled[index]
                    del self._known[path]
                return

    def _failed(self, error: Failure, rerun: list[str]) -> None:
        defaults = cast("dict[str, Any]", self.agent.definition.get("defaults") or {})
        retry = cast(RetryPolicy, defaults.get("retry") or no_retry)
        self._failed_attempts += 1
        if not error["retryable"] or self._failed_attempts >= retry["maxAttempts"]:
            self._end("failed", Outcome("failed", error=error))
            return
        self.attempts[-1].ended = "failed"
        for path in rerun:
            self._forget(path)
        self._host.stop_attempt(self)
        clock = self._host.clock
        clock.at(clock.now() + _delay_of(retry, self._failed_attempts), self.begin)

    def _end(self, ended: Literal["completed", "failed"], outcome: Outcome) -> None:
        self.attempts[-1].ended = ended
        self.outcome = outcome
        for cancel in self._timers.values():
            cancel()
        self._host.stop_attempt(self)
        self._finished(outcome, self._spent)

    def _ack(self, seq: int, entry: JournalEntry | None = None, key: str | None = None) -> None:
        message: EngineMessage = {"type": "ack", "executionId": self.id, "attempt": self.attempt, "seq": seq}
        if entry is not None:
            message["entry"] = entry
        if key is not None:
            message["idempotencyKey"] = key
        self._host.deliver(message)

    def _nack(self, seq: int, error: Failure) -> None:
        self._host.deliver(
            {"type": "nack", "executionId": self.id, "attempt": self.attempt, "seq": seq, "error": error}
        )


def _entry(
    message: WorkerMessage, kind: str, status: Literal["completed", "failed", "pending", "retrying", "unknown"]
) -> JournalEntry:
    return {"path": message["path"], "requestHash": message["requestHash"], "kind": kind, "status": status}
