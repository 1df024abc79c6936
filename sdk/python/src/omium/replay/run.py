"""One attempt of one execution: drives user code by the journal, then by the engine's answers.

1. Results reach user code one at a time. Between two releases user code runs until it can't go on (see activity.py). So
   `gather`, `TaskGroup` and branches see one order, and make their calls in one order.
2. The order of releases is the order of settlement on the log: live that of acks and resolves, on replay that of the
   journal, which is the same. Both go through the one release queue.
3. While recorded entries are not all asked for and released, nothing new is done: an unrecorded call is held. When user
   code stands still and the next recorded result is not asked for, code and history differ: `replay_mismatch`.
4. A recorded path asked for with another request, and recorded entries never asked for by the end, are mismatches too.
5. An entry that fits any request binds nobody to ask for it. Its result is released before all others, live and on replay.
6. A run that is over answers nothing any more: its tasks are cancelled, its late results are dropped.
7. Requests carry rising `seq`; their answers come in log order, so nothing here sorts.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..errors import Failure, OmiumError
from ..json import JsonValue, plain_json
from ..protocol import ANY_REQUEST, EngineMessage, JournalEntry, WorkerMessage
from .activity import Activity, Ambient, ambient
from .call import Answered, Call, Requester
from .failures import GivenFailures, failure_of, forbids_retry
from .mismatch import never_asked, other_request, other_step
from .paths import PathScope
from .port import EndReason, RunPort
from .settlement import Settlement, settlement_of
from .simulation import Simulation, replay_miss

if TYPE_CHECKING:
    from ..agent import AnyAgent
    from .step_call import StepCall


class Run:
    """See the module's invariants. All methods are called on the host's loop."""

    def __init__(self, assign: EngineMessage, agent: AnyAgent, port: RunPort, *, hermetic: bool = False) -> None:
        """`hermetic`: nothing is made that is not recorded, it ends the run with `replay_miss`."""
        self.execution_id: str = assign.get("executionId", "")
        self.attempt: int = assign.get("attempt", 0)
        self.agent = agent
        self.port = port
        budget = assign.get("budgetMicroCredits")
        self.budget_micro_credits = agent.budget_micro_credits if budget is None else budget
        """cap in force, millionths of a credit"""
        self.generation: int = assign.get("generation", 0)
        """how often the run has been rolled back"""
        self.overrides = assign.get("overrides")
        """what model calls that are really made do otherwise than the code says"""
        self.simulation = Simulation(assign.get("recordings", [])) if assign.get("simulate") else None
        """set when nothing but model calls and values may be made"""
        self._hermetic = hermetic
        self.activity = Activity()
        self.framework_calls = PathScope()
        """paths of calls that are told apart by their requests, see adapters/journal.py"""
        self.running: set[StepCall] = set()
        """steps whose function or reconciler runs"""
        self.over = False
        self.end_reason: EndReason | None = None
        self.waiting = False
        self.suspending = False
        self._input = assign.get("input")
        self._expected_entries = assign.get("journalEntries", 0)
        self._received_entries = 0
        # journal entries that user code has not asked for yet
        self._recorded: dict[str, JournalEntry] = {}
        # results of entries that fit any request: they are there for whoever asks, in no order
        self._offered: dict[str, Settlement] = {}
        # offered results that were asked for
        self._taken: deque[Settlement] = deque()
        self._queue: deque[Settlement] = deque()
        self._journal_releases_left = 0
        self._released = 0
        self._live = False
        # asked for and not released
        self._calls: dict[str, Call] = {}
        self._held: list[tuple[Call, JournalEntry | None]] = []
        self._open: dict[Call, None] = {}
        self._retries: dict[Call, Callable[[], None]] = {}
        self._pending: dict[int, Requester] = {}
        self._seq = 0
        self._given_failures = GivenFailures()
        self._code_ended = False
        self._draining = False
        self._cancel_grace: Callable[[], None] | None = None
        # how much was released when code that was suspected was spared
        self._spared_at = -1
        self._root: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        """User code has ended, or the attempt has: nothing new counts."""
        return self.over or self._code_ended

    @property
    def replaying(self) -> bool:
        return not self._live

    @property
    def only_looks_back(self) -> bool:
        """The run is a replay or a simulation of another: it leaves nothing behind."""
        return self._hermetic or self.simulation is not None

    @property
    def ids(self) -> dict[str, Any]:
        """What every message about this attempt carries."""
        return {"executionId": self.execution_id, "attempt": self.attempt}

    # ---- from the engine

    def receive(self, message: EngineMessage) -> None:
        """Takes a message about this attempt, in the order of arrival."""
        if self.over:
            return
        match message["type"]:
            case "ack":
                requester = self._pending.pop(message.get("seq", 0), None)
                if requester is not None:
                    requester.acked(message)
                    self.port.schedule(self)
            case "resolve" if "entry" in message:
                self._resolved(message["entry"])
            case "nack" if "error" in message:
                if message["error"]["code"] == "attempt_fenced":
                    self.end("fenced")
                    return
                requester = self._pending.pop(message.get("seq", 0), None)
                if requester is not None:
                    requester.nacked(message["error"])
                self.port.schedule(self)
            case "journal":
                for entry in message.get("entries", []):
                    self._record(entry)
                if message.get("last"):
                    self._begin()
            case "stop":
                self.end(message.get("reason", "fenced"))
            case _:
                pass

    def _record(self, entry: JournalEntry) -> None:
        self._received_entries += 1
        settlement = settlement_of(entry)
        if settlement is not None and entry["requestHash"] == ANY_REQUEST:
            self._offered[entry["path"]] = settlement
            return
        self._recorded[entry["path"]] = entry
        if settlement is not None:
            self._queue.append(settlement)
            self._journal_releases_left += 1

    def _begin(self) -> None:
        if self._received_entries != self._expected_entries:
            self.abandon(f"the journal has {self._received_entries} entries, {self._expected_entries} were announced")
            return
        self._live = not self._recorded
        context = contextvars.copy_context()
        context.run(ambient.set, Ambient(self, None))
        self._root = self.port.loop.create_task(self._execute(), context=context)
        self.port.schedule(self)

    async def _execute(self) -> None:
        from ..context import Context

        try:
            output = await self.agent.execute(self._input, Context(self))
        except BaseException as error:
            # a SystemExit or a KeyboardInterrupt of agent code ends its run, not the worker
            self._code_raised(error)
        else:
            self._code_returned(output)

    def _resolved(self, entry: JournalEntry) -> None:
        self.waiting = False
        call = self._calls.get(entry["path"])
        if call is not None:
            self._open.pop(call, None)
            call.entered(entry)
        elif entry["path"] in self._recorded:
            self._recorded[entry["path"]] = entry
            settlement = settlement_of(entry)
            if settlement is not None:
                self._queue.append(settlement)
        self.port.schedule(self)

    # ---- from user code, through the context

    def ask(self, call: Call) -> asyncio.Future[Any]:
        """Enters a call: answers it from the journal, or does it now, or holds it until the replay is over.

        Raises CancelledError when the run is over: code that cleans up must not wait for what never comes.
        """
        if self.closed:
            raise asyncio.CancelledError(f"attempt {self.attempt} of {self.execution_id} is over")
        self._given_failures.asked()
        self._calls[call.path] = call
        entry = self._recorded.get(call.path)
        offer = self._offered.pop(call.path, None)
        if offer is not None:
            call.settled = True
            self._taken.append(offer)
            self.port.schedule(self)
        elif entry is None:
            if self._hermetic:
                self._miss(call)
            elif self._live and not self._draining:
                call.start()
            else:
                self._hold(call, None)
        elif entry["requestHash"] != call.request_hash or (entry["kind"] != call.kind and self.simulation is None):
            self.fail(other_request(entry, call))
        else:
            del self._recorded[call.path]
            if entry["status"] == "pending":
                self._open[call] = None
            elif entry["status"] in ("retrying", "unknown"):
                self._hold(call, entry)
            else:
                call.settled = True
            self._go_live_if_replayed()
            self.port.schedule(self)
        return call.future

    def _miss(self, call: Call) -> None:
        """Once the record is used up: as long as it is not, a mismatch says more."""
        if self._recorded:
            self._hold(call, None)
        else:
            self.fail(replay_miss(call.path, call.kind, call.request_hash))

    def _hold(self, call: Call, entry: JournalEntry | None) -> None:
        self._held.append((call, entry))
        self.port.schedule(self)

    # ---- from calls

    def next_seq(self, requester: Requester | None) -> int:
        """Number of the next request; its answer goes to `requester`."""
        self._seq += 1
        if requester is not None:
            self._pending[self._seq] = requester
        self.waiting = False
        return self._seq

    def settled(self, path: str, value: JsonValue, failure: Failure | None) -> None:
        """A result for the release queue."""
        self._queue.append(Settlement(path, value, failure))
        self.port.schedule(self)

    def opened(self, call: Call) -> None:
        """The call waits for a `resolve`."""
        self._open[call] = None
        self.port.schedule(self)

    def reopen_when_live(self, call: Call, entry: JournalEntry) -> None:
        """Goes on with a call whose entry is `retrying` or `unknown`, once nothing is left to replay."""
        self._open.pop(call, None)
        if self._live and not self._draining:
            call.reopen(entry)
        else:
            self._hold(call, entry)

    def retry_at(self, call: Call, at_ms: float) -> None:
        """Starts the call again at that time."""

        def again() -> None:
            self._retries.pop(call, None)
            if self.over:
                return
            if self._draining:
                self._hold(call, None)
            else:
                call.start()
            self.port.schedule(self)

        self._retries[call] = self.port.after(max(0.0, at_ms - self.port.now()), again)

    def refused(self, error: Failure, path: str) -> None:
        """The engine refused a request for a reason that no step can carry."""
        if self.closed:
            return
        if error["retryable"]:
            self.abandon(f"the engine refused {path}: {error['code']}: {error['detail']}")
        else:
            self.fail(OmiumError.from_failure(error))

    # ---- turns

    def turn(self) -> None:
        """One release, or a look at why there is none. The host calls it once for each `schedule`, when code stands still."""
        if self.closed or self.suspending:
            return
        if self._draining:
            if self._is_still():
                self.suspend("drained")
            return
        if self._taken:
            taken = self._taken.popleft()
            call = self._calls.get(taken.path)
            if call is not None:
                self._deliver(call, taken)
            return
        if self._queue:
            call = self._calls.get(self._queue[0].path)
            if call is not None:
                self._release(call, self._queue.popleft())
            else:
                self._suspect_mismatch()
            return
        if not self._live:
            if self._recorded and self._held:
                self._suspect_mismatch()
                return
            self._go_live_if_replayed()
        self._report_if_waiting()

    def _release(self, call: Call, settlement: Settlement) -> None:
        self._released += 1
        if self._journal_releases_left > 0:
            self._journal_releases_left -= 1
            # before the call is told: what was held goes first
            del self._calls[call.path]
            self._go_live_if_replayed()
        self._deliver(call, settlement)

    def _deliver(self, call: Call, settlement: Settlement) -> None:
        self._calls.pop(call.path, None)
        # user code may have stopped waiting for it: a task of a group that failed, a wait_for
        if not call.future.done():
            if settlement.failure is not None:
                call.future.set_exception(self._given_failures.give(call.path, settlement.failure))
                # nobody has to look at it; an error that nobody awaits is as in plain asyncio, without the noise of a loop
                call.future.exception()
            else:
                call.future.set_result(settlement.value)
        self.port.schedule(self)

    def _go_live_if_replayed(self) -> None:
        if self._live or self._journal_releases_left > 0 or self._recorded or self._draining:
            return
        self._live = True
        held, self._held = self._held, []
        for call, entry in held:
            if self.over:
                return
            if self._hermetic:
                self.fail(replay_miss(call.path, call.kind, call.request_hash))
            elif entry is not None:
                call.reopen(entry)
            else:
                call.start()

    def _suspect_mismatch(self) -> None:
        if not self._calls or self._cancel_grace is not None:
            return
        stuck_at = self._released
        asked_then = len(self._recorded)
        since = self.port.now()
        grace_ms = self.agent.mismatch_grace_ms

        def judge() -> None:
            self._cancel_grace = None
            if self.closed:
                return
            # the process stood still: what the code waits for may have come, and was not heard of yet
            late = self.port.now() - since > 2 * grace_ms
            # the code goes on just now; one that spins is spared once
            goes_on = not self.activity.still and self._spared_at != stuck_at
            if late or goes_on:
                self._spared_at = stuck_at
                self.port.schedule(self)
                return
            first = self._first_not_asked_for()
            asked = self._held[0][0] if self._held else next(iter(self._calls.values()), None)
            stuck = self._released == stuck_at and len(self._recorded) == asked_then
            if stuck and first is not None and asked is not None:
                self.fail(other_step(first, asked))
            else:
                self.port.schedule(self)

        self._cancel_grace = self.port.after(grace_ms, judge)

    def _first_not_asked_for(self) -> JournalEntry | None:
        if not self._queue:
            return next(iter(self._recorded.values()), None)
        path = self._queue[0].path
        return None if path in self._calls else self._recorded.get(path)

    def _report_if_waiting(self) -> None:
        if self.waiting or not self._open or not self._is_still() or self._held:
            return
        self.waiting = True
        self.port.send({"type": "waiting", **self.ids})
        self.port.waiting(self)

    def _is_still(self) -> bool:
        return not self.running and not self._pending and not self._retries

    # ---- leaving the worker

    def suspend(self, reason: Literal["waiting", "drained"]) -> None:
        """Gives the run back: it is assigned anew when something resolves (`waiting`) or at once (`drained`)."""
        if self.closed or self.suspending:
            return
        self.suspending = True

        def refused(_: Failure) -> None:
            self.suspending = False
            self.waiting = False
            self.port.schedule(self)

        seq = self.next_seq(Answered(lambda: self.end("suspended"), refused))
        self.port.send({"type": "suspend", **self.ids, "seq": seq, "reason": reason})

    def drain(self) -> None:
        """Lets what runs come to its recorded result, begins nothing new, then suspends."""
        self._draining = True
        for call, cancel in self._retries.items():
            cancel()
            self._held.append((call, None))
        self._retries.clear()
        self.port.schedule(self)

    def abandon(self, detail: str) -> None:
        """The worker can't go on with this run; the platform hands it to another."""
        if self.over:
            return
        self.port.send({"type": "abandon", **self.ids, "detail": detail[:2000]})
        self.end("abandoned")

    def end(self, reason: EndReason) -> None:
        """Nothing of this attempt counts any more."""
        if self.over:
            return
        self.over = True
        self.end_reason = reason
        if self._cancel_grace is not None:
            self._cancel_grace()
        for cancel in self._retries.values():
            cancel()
        self._retries.clear()
        self._abort_steps(reason)
        self._calls.clear()
        self._open.clear()
        self._pending.clear()
        self._queue.clear()
        self._held.clear()
        self._given_failures.clear()
        self.activity.cancel_tasks(f"the attempt is over: {reason}")
        self.port.finished(self)

    def _abort_steps(self, reason: EndReason) -> None:
        for step in list(self.running):
            step.abort(f"attempt {self.attempt} of {self.execution_id} is over: {reason}")
        self.running.clear()

    # ---- the end of user code

    def _code_returned(self, output: object) -> None:
        if self.closed:
            return
        forgotten = next(iter(self._recorded.values()), None)
        if forgotten is not None:
            self.fail(never_asked(forgotten))
            return
        try:
            plain = plain_json(output, f'the output of agent "{self.agent.id}"')
        except OmiumError as error:
            self.fail(error)
        else:
            self._conclude("completed", {"type": "complete", "output": plain})

    def _code_raised(self, error: BaseException) -> None:
        # what a branch raises after a mismatch, or a cancelled task, comes too late to count
        if not self.closed:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Ends the attempt with an error; the execution's retry policy decides about another one."""
        if self.closed:
            return
        # what a TaskGroup adds says nothing about one error
        inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        if len(inner) == 1:
            self.fail(inner[0])
            return
        failure = failure_of(error, "agent_threw", f'agent "{self.agent.id}"', not forbids_retry(error))
        named = self._given_failures.named(error, failure)
        self._conclude("failed", {"type": "fail", "error": named, "rerun": self._given_failures.rerun})

    def _conclude(self, reason: Literal["completed", "failed"], message: WorkerMessage) -> None:
        self._code_ended = True
        self._abort_steps(reason)

        def refused(error: Failure) -> None:
            self._code_ended = False
            if error["retryable"] or reason == "failed":
                self.abandon(f"the engine refused the end: {error['code']}: {error['detail']}")
            else:
                self.fail(OmiumError.from_failure(error))

        seq = self.next_seq(Answered(lambda: self.end(reason), refused))
        self.port.send({**message, **self.ids, "seq": seq})
