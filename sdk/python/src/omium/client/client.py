"""The clients: what there is to call, and how each of them is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

import httpx

from ..agent import Agent, AnyAgent
from ..ids import new_id
from ..json import JsonValue, plain_json
from ..policy import RunOptions
from ..settings import connection
from . import executions
from .checkpoints import CheckpointCalls
from .executions import ExecutionCalls, RunCalls
from .feed import ChargeEvent, FollowedEvent, feed
from .flows import Awaiting, Blocking, Flow, HttpRequest, Items, Query, call, collected, items, pages
from .http import Http, RequestOptions
from .keys import KeyCalls
from .members import InvitationCalls, MemberCalls
from .recoveries import RecoveryCalls, RecoveryPolicyCalls
from .replays import ReplayCalls
from .schedules import ScheduleCalls
from .transports import AsyncTransport, SyncTransport
from .triggers import TriggerCalls
from .views import AgentView, CallerView, ModelView, WorkerConnection, WriteReceipt
from .webhooks import WebhookCalls
from .workflows import WorkflowCalls

_Out = TypeVar("_Out")


class _ClientCalls(ExecutionCalls):
    @call
    def agents(self) -> Flow[list[AgentView]]:
        """The agents that workers have announced."""
        return collected(pages(self._api, "/v1/agents", {"limit": 200}))

    @call
    def models(self) -> Flow[list[ModelView]]:
        """Which models there are, who answers for them and what they cost. Needs the model gateway's URL."""
        answer = yield from self._api.json(HttpRequest("GET", "/v1/models", base_url=self._api.models_url))
        return answer["data"]

    @call
    def me(self) -> Flow[CallerView]:
        """Who asks, and what they may do."""
        return self._api.json(HttpRequest("GET", "/v1/me"))

    @call
    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Query | None = None,
        idempotency_key: str | None = None,
    ) -> Flow[JsonValue]:
        """An operation of the API that has no call here: JSON in, JSON out, None for no content.

        Sent again when it has to be, under one idempotency key. Raises OmiumError with the gateway's code.
        """
        key = new_id("cmd") if idempotency_key is None else idempotency_key
        return self._api.json(HttpRequest(method, path, plain_json(body, "the body"), query or {}, key=key))

    @items
    def pages(self, path: str, query: Query | None = None) -> Items[JsonValue]:
        """The items of a paged list that has no call here, fetched as they are read."""
        return pages(self._api, path, {"limit": 200, **(query or {})})

    @items
    def follow(self, *, after: Sequence[str] = (), live: bool = True) -> Items[FollowedEvent]:
        """Events of all of the tenant's executions as they happen, each once and in the order of its execution; survives
        broken connections. `after`: the last `event["position"]` seen of each partition, from now on unless given;
        `live=False`: what there is by now, then the end.

        Raises OmiumError when the gateway refuses for good: `unauthenticated`, `forbidden`, `invalid_request`.
        """
        return feed(self._api, "/v1/events", after, live)

    @items
    def charges(self, *, after: Sequence[str] = (), live: bool = True) -> Items[ChargeEvent]:
        """What all executions use and cost, step by step, as it happens. As `follow`."""
        return feed(self._api, "/v1/charges", after, live)

    @call
    def connect_worker(self) -> Flow[WorkerConnection]:
        """Where the engines are, and the token that opens them to a worker."""
        return self._api.json(HttpRequest("POST", "/v1/workers/connect", {}, timeout_s=5))


class Run(RunCalls[_Out, "Run[_Out]"], Blocking, Generic[_Out]):
    """A started execution."""


class Workflows(WorkflowCalls[Run[JsonValue]], Blocking): ...


class Schedules(ScheduleCalls, Blocking): ...


class Triggers(TriggerCalls, Blocking): ...


class Checkpoints(CheckpointCalls, Blocking): ...


class Recoveries(RecoveryCalls, Blocking): ...


class RecoveryPolicies(RecoveryPolicyCalls, Blocking): ...


class Replays(ReplayCalls, Blocking): ...


class Keys(KeyCalls, Blocking): ...


class Webhooks(WebhookCalls, Blocking): ...


class Members(MemberCalls, Blocking): ...


class Invitations(InvitationCalls, Blocking): ...


class Client(_ClientCalls, Blocking):
    """A client of the platform whose calls block. Unset options come from `OMIUM_URL`, `OMIUM_API_KEY` and
    `OMIUM_MODELS_URL`.

    `timeout`: seconds without any progress after which a try is given up, 30 unless given. `max_tries`: how often a request is
    sent at most, 6 unless given. `headers`: sent with every request. `http_client`: in place of its own, e.g. with a proxy or
    certificates; whoever gives it closes it. What is sent is logged as `omium.client`, at DEBUG; tries again at INFO.

    Raises OmiumError `settings_invalid` when the key is neither given nor in the environment.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        api_key: str | None = None,
        models_url: str | None = None,
        timeout: float | None = None,
        max_tries: int | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | None = None,
    ) -> None:
        options = RequestOptions(timeout, max_tries, headers or {})
        self._use(SyncTransport(Http(connection(url, api_key, models_url), options), http_client))

    def with_options(
        self, *, timeout: float | None = None, max_tries: int | None = None, headers: Mapping[str, str] | None = None
    ) -> Client:
        """A client that shares this one's connections and makes its calls otherwise, as do the handles that it gives."""
        other = Client.__new__(Client)
        other._use(self._transport.with_options(RequestOptions(timeout, max_tries, headers or {})))
        return other

    def _use(self, driver: SyncTransport) -> None:
        self._transport = driver
        super().__init__(driver)
        self.workflows = Workflows(driver, self._run)
        self.schedules = Schedules(driver)
        self.triggers = Triggers(driver)
        self.checkpoints = Checkpoints(driver)
        self.recoveries = Recoveries(driver)
        self.recovery_policies = RecoveryPolicies(driver)
        self.replays = Replays(driver)
        self.keys = Keys(driver)
        self.webhooks = Webhooks(driver)
        self.members = Members(driver)
        self.invitations = Invitations(driver)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._transport.close()

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
        receipt = self._transport.drive(executions.start(self._api, agent, input, id, options))
        return Run(self._driver, receipt["executionId"], receipt)

    def handle(self, id: str) -> Run[Any]:
        """The handle of an execution that exists; asks nothing."""
        return Run(self._driver, id)

    def _run(self, id: str, receipt: WriteReceipt | None) -> Run[JsonValue]:
        return Run(self._driver, id, receipt)


class AsyncRun(RunCalls[_Out, "AsyncRun[_Out]"], Awaiting, Generic[_Out]):
    """A started execution."""


class AsyncWorkflows(WorkflowCalls[AsyncRun[JsonValue]], Awaiting): ...


class AsyncSchedules(ScheduleCalls, Awaiting): ...


class AsyncTriggers(TriggerCalls, Awaiting): ...


class AsyncCheckpoints(CheckpointCalls, Awaiting): ...


class AsyncRecoveries(RecoveryCalls, Awaiting): ...


class AsyncRecoveryPolicies(RecoveryPolicyCalls, Awaiting): ...


class AsyncReplays(ReplayCalls, Awaiting): ...


class AsyncKeys(KeyCalls, Awaiting): ...


class AsyncWebhooks(WebhookCalls, Awaiting): ...


class AsyncMembers(MemberCalls, Awaiting): ...


class AsyncInvitations(InvitationCalls, Awaiting): ...


class AsyncClient(_ClientCalls, Awaiting):
    """A client of the platform whose calls are awaited. Unset options come from `OMIUM_URL`, `OMIUM_API_KEY` and
    `OMIUM_MODELS_URL`.

    `timeout`: seconds without any progress after which a try is given up, 30 unless given. `max_tries`: how often a request is
    sent at most, 6 unless given. `headers`: sent with every request. `http_client`: in place of its own, e.g. with a proxy or
    certificates; whoever gives it closes it. What is sent is logged as `omium.client`, at DEBUG; tries again at INFO.

    Raises OmiumError `settings_invalid` when the key is neither given nor in the environment.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        api_key: str | None = None,
        models_url: str | None = None,
        timeout: float | None = None,
        max_tries: int | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        options = RequestOptions(timeout, max_tries, headers or {})
        self._use(AsyncTransport(Http(connection(url, api_key, models_url), options), http_client))

    def with_options(
        self, *, timeout: float | None = None, max_tries: int | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncClient:
        """A client that shares this one's connections and makes its calls otherwise, as do the handles that it gives."""
        other = AsyncClient.__new__(AsyncClient)
        other._use(self._transport.with_options(RequestOptions(timeout, max_tries, headers or {})))
        return other

    def _use(self, driver: AsyncTransport) -> None:
        self._transport = driver
        super().__init__(driver)
        self.workflows = AsyncWorkflows(driver, self._run)
        self.schedules = AsyncSchedules(driver)
        self.triggers = AsyncTriggers(driver)
        self.checkpoints = AsyncCheckpoints(driver)
        self.recoveries = AsyncRecoveries(driver)
        self.recovery_policies = AsyncRecoveryPolicies(driver)
        self.replays = AsyncReplays(driver)
        self.keys = AsyncKeys(driver)
        self.webhooks = AsyncWebhooks(driver)
        self.members = AsyncMembers(driver)
        self.invitations = AsyncInvitations(driver)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives the connections back."""
        await self._transport.close()

    @overload
    async def start(
        self, agent: Agent[Any, _Out], input: object = None, *, id: str | None = None, options: RunOptions | None = None
    ) -> AsyncRun[_Out]: ...
    @overload
    async def start(
        self, agent: str, input: object = None, *, id: str | None = None, options: RunOptions | None = None
    ) -> AsyncRun[JsonValue]: ...
    async def start(
        self, agent: AnyAgent | str, input: object = None, *, id: str | None = None, options: RunOptions | None = None
    ) -> AsyncRun[Any]:
        """Starts an execution. Starting twice with one id and input gives the same one; the id is minted unless given."""
        receipt = await self._transport.drive(executions.start(self._api, agent, input, id, options))
        return AsyncRun(self._driver, receipt["executionId"], receipt)

    def handle(self, id: str) -> AsyncRun[Any]:
        """The handle of an execution that exists; asks nothing."""
        return AsyncRun(self._driver, id)

    def _run(self, id: str, receipt: WriteReceipt | None) -> AsyncRun[JsonValue]:
        return AsyncRun(self._driver, id, receipt)
