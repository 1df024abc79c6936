"""The sync client: the async one without awaiting; a test holds the two together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, cast, overload

import httpx

from ..agent import Agent, AnyAgent
from ..errors import OmiumError
from ..json import JsonValue
from ..policy import RunOptions
from ..protocol import JournalEntry, RunOverrides
from ..replay.call import MISSING, Missing
from ..settings import connection
from ..sse import parse_events_sync
from . import rewind
from .api import TERMINAL_EVENTS, Answer, Api, Effect, Flow, Query, Send, events_path, problem_of, reconnect_delay_s
from .rewind import Edits, Report
from .views import AgentView, EventView, ExecutionStatus, ExecutionView, Resolution, StepView, WriteReceipt

_Out = TypeVar("_Out")
_T = TypeVar("_T")

SILENCE_S = 45.0
"""A stream of events that is silent for longer (heartbeats included) is taken for dead."""


class Run(Generic[_Out]):
    """A started execution."""

    def __init__(self, client: Client, execution_id: str, receipt: WriteReceipt | None = None) -> None:
        self._client = client
        self.id = execution_id
        self.position = receipt["position"] if receipt else None
        """where on the log its last change made through this handle was accepted"""
        self.created = receipt is not None and not receipt["deduplicated"]
        """False when it had been started before with this id and input"""

    def result(self, *, timeout: float | None = None) -> _Out:
        """Waits for the end. Raises OmiumError: the run's failure, `execution_cancelled`, or `timeout` (seconds)."""
        return cast(_Out, self._client.drive(self._client.api.result(self.id, self.position, timeout)))

    def events(self, *, after: int = 0) -> Iterator[EventView]:
        """History, then live, each event once and in order, until the end; survives broken connections."""
        # the read model may not have heard of a run that has just been started
        self.get()
        yield from self._client.events(self.id, after)

    def get(self) -> ExecutionView:
        return self._client.drive(self._client.api.get(self.id, self.position))

    def steps(self) -> list[StepView]:
        return self._client.drive(self._client.api.steps(self.id, self.position))

    def signal(self, name: str, payload: object = None, *, id: str | None = None) -> WriteReceipt:
        return self._write(self._client.api.signal(self.id, name, payload, id))

    def approve(
        self, path: str, decision: Literal["approved", "rejected"] = "approved", comment: str | None = None
    ) -> WriteReceipt:
        """Decides the approval at a path, e.g. `approve#1`."""
        return self._write(self._client.api.approve(self.id, path, decision, comment))

    def pause(self, reason: str | None = None) -> WriteReceipt:
        return self._write(self._client.api.reasoned(self.id, "pause", reason))

    def resume(self) -> WriteReceipt:
        return self._write(self._client.api.write(self.id, "resume", {}))

    def cancel(self, reason: str | None = None) -> WriteReceipt:
        return self._write(self._client.api.reasoned(self.id, "cancel", reason))

    def fork(
        self,
        *,
        to_path: str | Missing | None = MISSING,
        input: object = MISSING,
        edits: Edits | None = None,
        options: RunOptions | None = None,
        id: str | None = None,
    ) -> Run[_Out]:
        """A new run that takes over recorded results up to and including `to_path`; None: none of them.

        By default up to the last edited one, or all. With another input what was recorded is taken over without a look at
        what each step was asked.
        """
        body = rewind.fork_body(to_path, input, edits, options, id)
        receipt = self._client.drive(self._client.api.fork(self.id, body))
        return Run(self._client, receipt["executionId"], receipt)

    def preview_fork(
        self,
        *,
        to_path: str | Missing | None = MISSING,
        input: object = MISSING,
        edits: Edits | None = None,
    ) -> Report:
        """What a fork would take over, run again and cost; starts nothing."""
        body = rewind.fork_body(to_path, input, edits, None, None)
        return self._client.drive(rewind.preview(self._client.api, self.id, "fork", body))

    def roll_back(
        self, to_path: str | None, *, reason: str | None = None, overrides: RunOverrides | None = None
    ) -> WriteReceipt:
        """Forgets what was recorded after a step (None: all), stops the live attempt and goes on from there."""
        return self._write(rewind.roll_back(self._client.api, self.id, to_path, reason, overrides))

    def preview_roll_back(self, to_path: str | None) -> Report:
        """What a roll back would keep, run again and cost; changes nothing."""
        flow = rewind.preview(self._client.api, self.id, "rollback", {"toPath": to_path})
        return self._client.drive(flow)

    def journal(self) -> list[tuple[str, JournalEntry]]:
        """All recorded results with the names of their steps, in the order in which code got them."""
        return self._client.drive(rewind.journal(self._client.api, self.id))

    def diff(self, other: str) -> Report:
        """Where this run and another part, why, and what follows from it."""
        return self._client.drive(rewind.diff(self._client.api, self.id, other))

    def resolve(self, path: str, resolution: Resolution, comment: str | None = None) -> WriteReceipt:
        """Settles a step whose outcome is unknown."""
        return self._write(self._client.api.resolve(self.id, path, resolution, comment))

    def _write(self, flow: Flow[WriteReceipt]) -> WriteReceipt:
        receipt = self._client.drive(flow)
        self.position = receipt["position"]
        return receipt


class Client:
    """A client of the platform. Unset options come from `OMIUM_URL` and `OMIUM_API_KEY`.

    Raises OmiumError `settings_invalid` when the key is neither given nor in the environment.
    """

    def __init__(self, *, url: str | None = None, api_key: str | None = None) -> None:
        self.api = Api(connection(url, api_key))
        self._http = httpx.Client(trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    @overload
    def start(
        self, agent: Agent[Any, _Out], input: object = None, *, id: str | None = None, options: RunOptions | None = None
    ) -> Run[_Out]: ...
    @overload
    def start(
        self, agent: str, input: object = None, *, id: str | None = None, options: RunOptions | None = None
    ) -> Run[JsonValue]: ...
    def start(
        self, agent: AnyAgent | str, input: object = None, *, id: str | None = None, options: RunOptions | None = None
    ) -> Run[Any]:
        """Starts an execution. Starting twice with one id and input gives the same one; the id is minted unless given."""
        agent_id = agent if isinstance(agent, str) else agent.id
        receipt = self.drive(self.api.start(agent_id, input, id, options))
        return Run(self, receipt["executionId"], receipt)

    def run_workflow(
        self, workflow_id: str, parameters: object = None, *, id: str | None = None, version: int | None = None
    ) -> Run[JsonValue]:
        """Runs a workflow. Twice with one id and equal parameters gives one run; the newest published version runs
        unless one is named."""
        execution_id, receipt = self.drive(self.api.run_workflow(workflow_id, parameters, id, version))
        return Run(self, execution_id, receipt)

    def handle(self, id: str) -> Run[Any]:
        """The handle of an execution that exists; asks nothing."""
        return Run(self, id)

    def get(self, id: str) -> ExecutionView:
        return self.drive(self.api.get(id, None))

    def list(
        self,
        *,
        status: ExecutionStatus | None = None,
        agent: str | None = None,
        parent: str | None = None,
        forked_from: str | None = None,
        labels: Mapping[str, str] | None = None,
        page_size: int = 50,
    ) -> Iterator[ExecutionView]:
        """All executions that fit, newest first, fetched page by page."""
        cursor: str | None = None
        while True:
            query: Query = {
                "status": status,
                "agent": agent,
                "parent": parent,
                "forked_from": forked_from,
                "label": [f"{name}:{value}" for name, value in labels.items()] if labels else None,
                "limit": page_size,
                "cursor": cursor,
            }
            items, cursor = self.drive(self.api.executions(query))
            yield from items
            if cursor is None:
                return

    def agents(self) -> list[AgentView]:
        """The agents that workers have announced."""
        return self.drive(self.api.agents())

    def create_replay(
        self,
        runs: Sequence[str] | None = None,
        *,
        agent: str | None = None,
        last: int = 50,
        start: int | str | None = None,
        edits: Edits | None = None,
        budget: int | None = None,
        budget_per_run: int | None = None,
        id: str | None = None,
    ) -> Report:
        """Runs finished runs once more, otherwise: these, or the last ones of an agent.

        Model calls are made, everything else is answered from what was recorded. `start`: how many recorded results are
        kept, or the path of the first step that is run anew. Budgets in millionths of a credit.
        """
        flow = rewind.create_replay(self.api, runs, agent, last, start, edits, budget, budget_per_run, id)
        return self.drive(flow)

    def replay_report(self, id: str) -> Report:
        """How the runs of a replay compare with those of the past: outcome, cost, latency."""
        return self.drive(rewind.replay_report(self.api, id))

    def drive(self, flow: Flow[_T]) -> _T:
        """Does what a call asks for."""
        answer: Answer = None
        try:
            while True:
                effect: Effect = flow.send(answer)
                answer = None
                if isinstance(effect, Send):
                    try:
                        answer = self._http.send(self.api.build(self._http, effect.request))
                    except httpx.TransportError as error:
                        answer = error
                else:
                    time.sleep(effect.seconds)
        except StopIteration as end:
            return cast(_T, end.value)

    def events(self, execution_id: str, after: int) -> Iterator[EventView]:
        """See `Run.events`. Raises OmiumError when the gateway refuses for good (`execution_unknown`, ...)."""
        last_id = str(after) if after else None
        last_version = after
        failures = 0
        while True:
            headers = self.api.headers("text/event-stream")
            if last_id is not None:
                headers["last-event-id"] = last_id
            try:
                url = f"{self.api.url}{events_path(execution_id)}"
                with self._http.stream("GET", url, headers=headers, timeout=SILENCE_S) as response:
                    if not response.is_success:
                        response.read()
                        raise problem_of(response, f"GET {events_path(execution_id)}")
                    if response.status_code == 204:
                        return
                    for sent in parse_events_sync(response.iter_lines()):
                        failures = 0
                        if sent.kind == "delta":
                            continue  # live output, which is shown and never recorded
                        last_id = sent.id if sent.id is not None else last_id
                        event = cast(EventView, json.loads(sent.data))
                        if event["version"] <= last_version:
                            continue
                        last_version = event["version"]
                        yield event
                        if event["type"] in TERMINAL_EVENTS:
                            return
            except httpx.TransportError:
                pass  # resumed below
            except OmiumError as error:
                if not error.retryable:
                    raise
            failures += 1
            time.sleep(reconnect_delay_s(failures))
