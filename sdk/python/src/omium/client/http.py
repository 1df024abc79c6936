"""Requests to the gateway, as flows.

1. Problem details become `OmiumError`; whatever is not the gateway's answer becomes `unavailable` or `internal`.
2. A request is repeated with full jitter, at least after `retry-after`, at most `max_tries` times and within a budget. That is
   safe for all of them: what makes something has an id or an idempotency key, which is the same for each try.
3. Redirects are not followed: a change would become a look, and the key go elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from ..errors import OmiumError
from ..json import dumps
from ..settings import Connection
from ..version import __version__
from .flows import Flow, HttpRequest, Pause, Send

_log = logging.getLogger("omium.client")

_USER_AGENT = f"omium-python/{__version__} python/{platform.python_version()}"
_DEFAULT_TIMEOUT_S = 30.0
_DEFAULT_TRIES = 6
_LONGEST_RETRY_AFTER_S = 60.0
_BASE_DELAY_S = 0.05
_MAX_DELAY_S = 3.0
# retries may add at most about a fifth to the load, after a burst of ten
_BUDGET_LIMIT = 10.0
_BUDGET_PER_REQUEST = 0.2


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """How calls are made; see `Client.with_options`."""

    timeout: float | None = None
    max_tries: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def over(self, other: RequestOptions) -> RequestOptions:
        """These where they are given, the others elsewhere."""
        return RequestOptions(
            other.timeout if self.timeout is None else self.timeout,
            other.max_tries if self.max_tries is None else self.max_tries,
            {**other.headers, **self.headers},
        )


class _Budget:
    left = _BUDGET_LIMIT


class Http:
    """The requests of one connection; holds its budget of retries."""

    def __init__(
        self, connection: Connection, options: RequestOptions | None = None, budget: _Budget | None = None
    ) -> None:
        self._connection = connection
        self._options = options or RequestOptions()
        self._budget = budget or _Budget()

    def with_options(self, options: RequestOptions) -> Http:
        """The same connection and budget with other options."""
        return Http(self._connection, options.over(self._options), self._budget)

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
            "accept": "application/json, application/problem+json",
            "user-agent": _USER_AGENT,
            **self._options.headers,
            **request.headers,
            "authorization": f"Bearer {self._connection.api_key}",
            "x-request-id": str(uuid.uuid4()),
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
            timeout=next(
                one
                for one in (request.timeout_s, self._options.timeout, request.usual_timeout_s, _DEFAULT_TIMEOUT_S)
                if one is not None
            ),
        )

    def json(self, request: HttpRequest) -> Flow[Any]:
        """See `Api.json`."""
        budget = self._budget
        budget.left = min(_BUDGET_LIMIT, budget.left + _BUDGET_PER_REQUEST)
        max_tries = request.max_tries or self._options.max_tries or _DEFAULT_TRIES
        attempt = 0
        while True:
            attempt += 1
            begun = time.monotonic()
            answer = yield Send(request)
            retry_after = 0.0
            if isinstance(answer, httpx.Response):
                _tell(request, answer, f"answered {answer.status_code}", attempt, begun)
                if answer.is_success:
                    return _body_of(answer, request)
                error = problem_of(answer, f"{request.method} {request.path}")
                retry_after = _seconds(answer.headers.get("retry-after"))
            else:
                _tell(request, answer, f"not answered: {type(answer).__name__}", attempt, begun)
                error = OmiumError(
                    "unavailable",
                    f"{request.base_url or self.url} cannot be reached: {type(answer).__name__} {answer}".rstrip(),
                    cause=answer if isinstance(answer, BaseException) else None,
                )
            if not error.retryable or attempt >= max_tries or budget.left < 1:
                raise error
            budget.left -= 1
            backoff = random.random() * min(_MAX_DELAY_S, _BASE_DELAY_S * 2**attempt)
            wait = max(backoff, retry_after)
            _log.info("%s %s is tried again in %.2f s: %s", request.method, request.path, wait, error)
            yield Pause(wait)


def _tell(request: HttpRequest, answer: object, said: str, attempt: int, begun: float) -> None:
    request_id = "none"
    if isinstance(answer, (httpx.Response, httpx.RequestError)):
        with contextlib.suppress(RuntimeError):
            request_id = answer.request.headers.get("x-request-id", "none")
    took_ms = round((time.monotonic() - begun) * 1000)
    what = (request.method, request.path, said, took_ms, attempt, request_id)
    _log.debug("%s %s %s in %d ms (try %d, request id %s)", *what)


def reconnect_delay_s(failures: int) -> float:
    """How long to wait before reading a stream again."""
    return random.random() * min(_MAX_DELAY_S, _BASE_DELAY_S * 2 ** min(failures, 10)) + _BASE_DELAY_S


_STRANGERS = {408: "unavailable", 429: "rate_limited", 502: "unavailable", 503: "unavailable", 504: "unavailable"}
"""what it means when somebody between client and gateway refuses"""


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
        code = _STRANGERS.get(response.status_code, "internal")
        location = response.headers.get("location")
        elsewhere = "" if location is None else f", which points to {location}: is the URL right?"
        detail = f"{what} was answered {response.status_code} by something that is not the gateway{elsewhere}"
        return OmiumError(code, detail)
    return OmiumError(str(code), "; ".join([str(detail), *lines]), retryable=bool(retryable), data=data)


def _seconds(header: str | None) -> float:
    """Of `retry-after`: seconds, or a date."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return max(0.0, min(_LONGEST_RETRY_AFTER_S, seconds))


def _body_of(response: httpx.Response, request: HttpRequest) -> Any:
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError as cause:
        detail = f"{request.method} {request.path} was answered with something that is not JSON"
        raise OmiumError("internal", detail, cause=cause) from cause
