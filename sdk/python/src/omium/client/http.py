"""Requests to the gateway, as flows.

1. Problem details become `OmiumError`; whatever is not the gateway's answer becomes `unavailable` or `internal`.
2. A request is repeated with full jitter, at most `_MAX_TRIES` times and within a budget. That is safe for all of them: what
   makes something has an id or an idempotency key, which is the same for each try.
"""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import httpx

from ..errors import OmiumError
from ..json import dumps
from ..settings import Connection
from .flows import Flow, HttpRequest, Pause, Send

_MAX_TRIES = 6
_BASE_DELAY_S = 0.05
_MAX_DELAY_S = 3.0
# retries may add at most about a fifth to the load, after a burst of ten
_BUDGET_LIMIT = 10.0
_BUDGET_PER_REQUEST = 0.2


class Http:
    """The requests of one connection; holds its budget of retries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._budget = _BUDGET_LIMIT

    @property
    def url(self) -> str:
        return self._connection.url

    @property
    def models_url(self) -> str:
        """See `Api.models_url`."""
        if self._connection.models_url is None:
            raise OmiumError("settings_invalid", "no model gateway: set OMIUM_MODELS_URL, or give models_url")
        return self._connection.models_url

    def build(self, client: httpx.Client | httpx.AsyncClient, request: HttpRequest) -> httpx.Request:
        """The request as httpx sends it."""
        headers = {
            "authorization": f"Bearer {self._connection.api_key}",
            "accept": "application/json, application/problem+json",
            "x-request-id": str(uuid.uuid4()),
            **request.headers,
        }
        if request.method != "GET":
            headers["idempotency-key"] = request.key
        content: str | None = None
        if request.body is not None:
            headers["content-type"] = "application/json"
            content = dumps(request.body)
        query = {name: value for name, value in request.query.items() if value is not None}
        return client.build_request(
            request.method,
            f"{request.base_url or self.url}{request.path}",
            params=query or None,
            content=content,
            headers=headers,
            timeout=request.timeout_s,
        )

    def json(self, request: HttpRequest) -> Flow[Any]:
        """See `Api.json`."""
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
                retry_after = _seconds(answer.headers.get("retry-after"))
            else:
                said = type(answer).__name__
                cause = answer if isinstance(answer, BaseException) else None
                error = OmiumError(
                    "unavailable", f"{request.base_url or self.url} cannot be reached: {said}", cause=cause
                )
            if not error.retryable or attempt >= _MAX_TRIES or self._budget < 1:
                raise error
            self._budget -= 1
            backoff = random.random() * min(_MAX_DELAY_S, _BASE_DELAY_S * 2**attempt)
            yield Pause(max(backoff, retry_after))


def reconnect_delay_s(failures: int) -> float:
    """How long to wait before reading a stream again."""
    return random.random() * min(_MAX_DELAY_S, _BASE_DELAY_S * 2 ** min(failures, 10)) + _BASE_DELAY_S


def problem_of(response: httpx.Response, what: str) -> OmiumError:
    """The error behind a refused request (its body has been read): the gateway's own, or what stood between."""
    try:
        body: dict[str, Any] = json.loads(response.content)
        if "error" in body:
            # the model gateway refuses in OpenAI's language
            told: dict[str, Any] = body["error"]
            body = {"code": told["code"], "detail": told["message"], "retryable": response.status_code >= 500}
        code, detail, retryable = body["code"], body["detail"], body["retryable"]
        lines = [f"{error['path']}: {error['message']}" for error in body.get("errors", [])]
        # the gateway says in its detail what is wrong with fields; others may not
        lines = [line for line in lines if line not in str(detail)]
        data = {"requestId": body["requestId"]} if "requestId" in body else None
    except (ValueError, KeyError, TypeError):
        code = "unavailable" if response.status_code in (502, 503, 504) else "internal"
        return OmiumError(code, f"{what} was answered {response.status_code} by something that is not the gateway")
    return OmiumError(str(code), "; ".join([str(detail), *lines]), retryable=bool(retryable), data=data)


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, min(60.0, float(header or 0)))
    except ValueError:
        return 0.0


def _body_of(response: httpx.Response, request: HttpRequest) -> Any:
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError as cause:
        detail = f"{request.method} {request.path} was answered with something that is not JSON"
        raise OmiumError("internal", detail, cause=cause) from cause
