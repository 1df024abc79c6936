"""What the API's calls are, without I/O: generators that yield what is to be done and are sent what came of it.

The sync and the async client drive the same ones (see `drive` in each), so that retries and errors are alike.

1. Problem details become `OmiumError`; whatever is not the gateway's answer becomes `unavailable` or `internal`.
2. A request is repeated with full jitter, at most `_MAX_TRIES` times and within a budget. What may have been carried out is
   only repeated when it is idempotent.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

import httpx

from ..errors import OmiumError
from ..ids import new_id
from ..json import JsonValue, dumps, plain_json
from ..policy import RunOptions
from ..settings import Connection
from .views import AgentView, ExecutionView, Resolution, StepView, WriteReceipt

_T = TypeVar("_T")

_MAX_TRIES = 6
_BASE_DELAY_S = 0.05
_MAX_DELAY_S = 3.0
_DEFAULT_TIMEOUT_S = 30.0
_LONG_POLL_S = 20.0
# retries may add at most about a fifth to the load, after a burst of ten
_BUDGET_LIMIT = 10.0
_BUDGET_PER_REQUEST = 0.2

TERMINAL_EVENTS = ("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled")


@dataclass(frozen=True, slots=True)
class Send:
    """Send it; the answer is a response, or the transport's error."""

    request: HttpRequest


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Effect: TypeAlias = "Send | Pause"
Answer: TypeAlias = "httpx.Response | httpx.TransportError | None"
Flow: TypeAlias = "Generator[Effect, Answer, _T]"


Query: TypeAlias = "Mapping[str, str | int | list[str] | None]"
"""A list stands for the member several times."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str
    idempotent: bool
    body: JsonValue = None
    query: Query = field(default_factory=dict[str, "str | int | list[str] | None"])
    timeout_s: float = _DEFAULT_TIMEOUT_S


class Api:
    """The calls of one connection; holds its budget of retries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._budget = _BUDGET_LIMIT

    @property
    def url(self) -> str:
        return self._connection.url

    def headers(self, accept: str = "application/json, application/problem+json") -> dict[str, str]:
        return {
            "authorization": f"Bearer {self._connection.api_key}",
            "accept": accept,
            "x-request-id": str(uuid.uuid4()),
        }

    def build(self, client: httpx.Client | httpx.AsyncClient, request: HttpRequest) -> httpx.Request:
        """The request as httpx sends it."""
        headers = self.headers()
        content: str | None = None
        if request.method != "GET":
            headers["content-type"] = "application/json"
            content = dumps(request.body)
        query = {name: value for name, value in request.query.items() if value is not None}
        return client.build_request(
            request.method,
            f"{self.url}{request.path}",
            params=query or None,
            content=content,
            headers=headers,
            timeout=request.timeout_s,
        )

    def json(self, request: HttpRequest) -> Flow[JsonValue]:
        """The body of a good answer; None when it has none. Raises OmiumError with the gateway's code, or `unavailable`."""
        self._budget = min(_BUDGET_LIMIT, self._budget + _BUDGET_PER_REQUEST)
        attempt = 0
        while True:
            attempt += 1
            answer = yield Send(request)
            retry_after = 0.0
            if isinstance(answer, httpx.Response):
                if answer.is_success:
                    return _body_of(answer, request)
                error = problem_of(answer, f"{request.method} {request.path}")
                certain = answer.status_code == 429
                retry_after = _seconds(answer.headers.get("retry-after"))
            else:
                said = type(answer).__name__
                error = OmiumError("unavailable", f"{self.url} cannot be reached: {said}", cause=answer)
                certain = isinstance(answer, (httpx.ConnectError, httpx.ConnectTimeout))
            repeatable = error.retryable and (certain or request.idempotent)
            if not repeatable or attempt >= _MAX_TRIES or self._budget < 1:
                raise error
            self._budget -= 1
            backoff = random.random() * min(_MAX_DELAY_S, _BASE_DELAY_S * 2**attempt)
            yield Pause(max(backoff, retry_after))

    # ---- the calls

    def start(
        self, agent_id: str, given: object, execution_id: str | None, options: RunOptions | None
    ) -> Flow[WriteReceipt]:
        body: dict[str, JsonValue] = {
            "agent": agent_id,
            "input": plain_json(given, "the input"),
            "id": execution_id or new_id("exe"),
        }
        if options is not None:
            body["options"] = options.wire()
        return cast(WriteReceipt, (yield from self.json(HttpRequest("POST", "/v1/executions", True, body))))

    def run_workflow(
        self, workflow_id: str, parameters: object, run_id: str | None, version: int | None
    ) -> Flow[tuple[str, WriteReceipt | None]]:
        """The execution that runs a published workflow, and the receipt of its start when that was just made."""
        body: dict[str, JsonValue] = {
            "parameters": plain_json({} if parameters is None else parameters, "the parameters"),
            "id": run_id or new_id("exe"),
        }
        if version is not None:
            body["version"] = version
        path = f"/v1/workflows/{quote(workflow_id, safe='')}/runs"
        answer = cast(dict[str, Any], (yield from self.json(HttpRequest("POST", path, True, body))))
        execution_id, position = answer["executionId"], answer.get("executionPosition")
        if position is None:
            return execution_id, None
        return execution_id, {
            "executionId": execution_id,
            "position": position,
            "deduplicated": answer["deduplicated"],
        }

    def result(self, execution_id: str, position: str | None, timeout_s: float | None) -> Flow[JsonValue]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _LONG_POLL_S if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise OmiumError("timeout", f"execution {execution_id} has not ended within {timeout_s} s")
            wait_s = min(_LONG_POLL_S, left)
            request = HttpRequest(
                "GET",
                f"{execution_path(execution_id)}/result",
                True,
                query={"wait_ms": max(1, round(wait_s * 1000)), "min_position": position},
                timeout_s=wait_s + 10,
            )
            view = cast("ExecutionView | None", (yield from self.json(request)))
            if view is not None and view["status"] in ("completed", "failed", "cancelled"):
                return _output_of(view)

    def get(self, execution_id: str, position: str | None) -> Flow[ExecutionView]:
        request = HttpRequest("GET", execution_path(execution_id), True, query={"min_position": position})
        return cast(ExecutionView, (yield from self.json(request)))

    def steps(self, execution_id: str, position: str | None) -> Flow[list[StepView]]:
        items: list[StepView] = []
        cursor: str | None = None
        while True:
            page = yield from self._page(
                f"{execution_path(execution_id)}/steps", {"limit": 200, "cursor": cursor, "min_position": position}
            )
            items.extend(cast("list[StepView]", page[0]))
            cursor = page[1]
            if cursor is None:
                return items

    def executions(self, query: Query) -> Flow[tuple[list[ExecutionView], str | None]]:
        """One page of the list, and the cursor of the next."""
        items, cursor = yield from self._page("/v1/executions", query)
        return cast("list[ExecutionView]", items), cursor

    def agents(self) -> Flow[list[AgentView]]:
        items: list[AgentView] = []
        cursor: str | None = None
        while True:
            page = yield from self._page("/v1/agents", {"limit": 200, "cursor": cursor})
            items.extend(cast("list[AgentView]", page[0]))
            cursor = page[1]
            if cursor is None:
                return items

    def write(
        self, execution_id: str, what: str, body: dict[str, JsonValue], idempotent: bool = False
    ) -> Flow[WriteReceipt]:
        request = HttpRequest("POST", f"{execution_path(execution_id)}/{what}", idempotent, body)
        return cast(WriteReceipt, (yield from self.json(request)))

    def signal(self, execution_id: str, name: str, payload: object, signal_id: str | None) -> Flow[WriteReceipt]:
        body: dict[str, JsonValue] = {
            "name": name,
            "payload": plain_json(payload, "the payload"),
            "id": signal_id or new_id("sig"),
        }
        return self.write(execution_id, "signals", body, idempotent=True)

    def approve(
        self, execution_id: str, path: str, decision: Literal["approved", "rejected"], comment: str | None
    ) -> Flow[WriteReceipt]:
        body: dict[str, JsonValue] = {"path": path, "decision": decision}
        if comment is not None:
            body["comment"] = comment
        return self.write(execution_id, "approvals", body)

    def reasoned(self, execution_id: str, what: Literal["pause", "cancel"], reason: str | None) -> Flow[WriteReceipt]:
        return self.write(execution_id, what, {} if reason is None else {"reason": reason})

    def fork(self, execution_id: str, body: dict[str, JsonValue]) -> Flow[WriteReceipt]:
        return self.write(execution_id, "fork", {"id": new_id("exe"), **body}, idempotent=True)

    def resolve(self, execution_id: str, path: str, resolution: Resolution, comment: str | None) -> Flow[WriteReceipt]:
        body: dict[str, JsonValue] = {"path": path, "resolution": plain_json(resolution, "the resolution")}
        if comment is not None:
            body["comment"] = comment
        return self.write(execution_id, "resolve", body)

    def _page(self, path: str, query: Query) -> Flow[tuple[list[Any], str | None]]:
        page = cast("dict[str, Any]", (yield from self.json(HttpRequest("GET", path, True, query=query))))
        return page["items"], page.get("nextCursor")


def events_path(execution_id: str) -> str:
    """Path of an execution's events."""
    return f"{execution_path(execution_id)}/events"


def reconnect_delay_s(failures: int) -> float:
    """How long to wait before reading a stream again."""
    return random.random() * min(_MAX_DELAY_S, _BASE_DELAY_S * 2 ** min(failures, 10)) + _BASE_DELAY_S


def problem_of(response: httpx.Response, what: str) -> OmiumError:
    """The error behind a refused request (its body has been read): the gateway's own, or what stood between."""
    try:
        body = json.loads(response.content)
        code, detail, retryable = body["code"], body["detail"], body["retryable"]
        lines = [f"{error['path']}: {error['message']}" for error in body.get("errors", [])]
        data = {"requestId": body["requestId"]} if "requestId" in body else None
    except (ValueError, KeyError, TypeError):
        code = "unavailable" if response.status_code in (502, 503, 504) else "internal"
        return OmiumError(code, f"{what} was answered {response.status_code} by something that is not the gateway")
    return OmiumError(str(code), "; ".join([str(detail), *lines]), retryable=bool(retryable), data=data)


def execution_path(execution_id: str) -> str:
    """Path of an execution."""
    return f"/v1/executions/{quote(execution_id, safe='')}"


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, min(60.0, float(header or 0)))
    except ValueError:
        return 0.0


def _body_of(response: httpx.Response, request: HttpRequest) -> JsonValue:
    if not response.content:
        return None
    try:
        return cast(JsonValue, json.loads(response.content))
    except ValueError as cause:
        detail = f"{request.method} {request.path} was answered with something that is not JSON"
        raise OmiumError("internal", detail, cause=cause) from cause


def _output_of(view: ExecutionView) -> JsonValue:
    if view["status"] == "completed":
        return view.get("output")
    if "error" in view:
        raise OmiumError.from_failure(view["error"])
    code = "execution_cancelled" if view["status"] == "cancelled" else "internal"
    raise OmiumError(code, f"execution {view['id']} ended as {view['status']}")
