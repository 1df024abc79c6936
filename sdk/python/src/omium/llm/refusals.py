"""Providers' refusals as codes. A provider's own words decide first, its status only what they leave open: a quota that is
used up comes as 429 and is no matter of waiting, a key that is wrong may come as 400.

The same tables as in `schemas/src/provider-refusals.ts`, and held to the same examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from ..errors import OmiumError

_BY_WORD = {
    # the account cannot pay: waiting does not help, another provider does
    "insufficient_quota": "model_auth",
    "billing_hard_limit_reached": "model_auth",
    "billing_not_active": "model_auth",
    "billing_error": "model_auth",
    "account_deactivated": "model_auth",
    "invalid_api_key": "model_auth",
    "api_key_invalid": "model_auth",
    "api_key_expired": "model_auth",
    "authentication_error": "model_auth",
    "permission_error": "model_auth",
    "permission_denied": "model_auth",
    "unauthenticated": "model_auth",
    "context_length_exceeded": "model_context_length",
    "string_above_max_length": "model_context_length",
    "request_too_large": "model_context_length",
    "model_context_window_exceeded": "model_context_length",
    "content_filter": "model_content_filter",
    "content_policy_violation": "model_content_filter",
    "responsibleaipolicyviolation": "model_content_filter",
    "rate_limit_exceeded": "model_rate_limited",
    "rate_limit_error": "model_rate_limited",
    "resource_exhausted": "model_rate_limited",
    "too_many_requests": "model_rate_limited",
    "overloaded_error": "model_overloaded",
    "api_error": "model_overloaded",
    "server_error": "model_overloaded",
    "internal_server_error": "model_overloaded",
    "engine_overloaded": "model_overloaded",
    "timeout_error": "model_overloaded",
    "unavailable": "model_overloaded",
    "internal": "model_overloaded",
    "deadline_exceeded": "model_overloaded",
}
_BY_TEXT = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (
            r"maximum context length|context.?(length|window)|prompt is too long|input token count.*exceeds"
            r"|too many (input )?tokens in|exceeds? the (available )?context|input is too long"
            r"|too long to fit into the model|exceeds the maximum number of tokens",
            "model_context_length",
        ),
        (
            r"credit balance is too low|insufficient_quota"
            r"|exceeded your current quota(?![\s\S]*(retry in|resource_exhausted))|api.?key not valid"
            r"|(incorrect|invalid) api.?key|user location is not supported",
            "model_auth",
        ),
        (
            r"content (management|filtering) policy|responsibleaipolicyviolation|safety system|output blocked"
            r"|violating our usage policy",
            "model_content_filter",
        ),
        (r"^overloaded|overloaded_error|is (currently )?overloaded", "model_overloaded"),
    )
)
_DAY_MS = 86_400_000
_LONGEST_MESSAGE = 1000
_LONGEST_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Said:
    message: str
    words: tuple[str, ...] = ()
    """every machine-readable word about the reason, in lower case"""
    retry_after_ms: int | None = None


def refusal_of(status: int, headers: Mapping[str, str], body: str) -> OmiumError:
    """The error of an answer that is not 2xx."""
    said = _said_in_body(body[:_LONGEST_BODY])
    return _error_of(said, status, _retry_after_of(headers, said.message))


def refusal_in(error: object) -> OmiumError:
    """The error in the `error` member of a stream."""
    status = _members(error).get("code")
    known = status if isinstance(status, int) and 400 <= status < 600 else None
    return _error_of(_said_in(error), known, None)


def _error_of(said: _Said, status: int | None, retry_after_ms: int | None) -> OmiumError:
    text = next((code for pattern, code in _BY_TEXT if pattern.search(said.message)), None)
    word = next((_BY_WORD[one] for one in said.words if one in _BY_WORD), None)
    plain = "model_overloaded" if status is None else _by_status(status)
    if word == "model_rate_limited" and text == "model_auth":
        # Google says of every rate that the quota is used up
        code = word
    elif text is not None:
        code = text
    elif plain == "invalid_request" and word == "model_overloaded":
        # a status that blames the request is right even where the words blame the server (Ollama's unknown models)
        code = plain
    else:
        code = word or plain
    told = said.message[:_LONGEST_MESSAGE] or "nothing"
    did = "broke off" if status is None else f"answered {status}"
    wait = retry_after_ms if said.retry_after_ms is None else said.retry_after_ms
    data = {} if wait is None else {"data": {"retryAfterMs": wait}}
    return OmiumError(code, f"the model provider {did}: {told}", **cast("dict[str, Any]", data))


def _by_status(status: int) -> str:
    if status in (401, 402, 403):
        return "model_auth"
    if status == 429:
        return "model_rate_limited"
    if status == 413:
        return "model_context_length"
    if status in (408, 409, 425) or status >= 500:
        return "model_overloaded"
    # a redirect: this is not the API that the base URL was taken for
    return "model_malformed" if status < 400 else "invalid_request"


def _members(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _said_in(error: object) -> _Said:
    """What stands in a provider's `error` member, or in the whole body of those that have none."""
    if isinstance(error, str):
        return _Said(error)
    members = _members(error)
    details: object = members.get("details")
    google = [_members(one) for one in cast("list[object]", details)] if isinstance(details, list) else []
    retry = next((one["retryDelay"] for one in google if isinstance(one.get("retryDelay"), str)), None)
    words = [
        *(members.get(name) for name in ("code", "type", "status")),
        _members(members.get("innererror")).get("code"),
        *(one.get("reason") for one in google),
    ]
    parts = (members.get("message"), _members(members.get("metadata")).get("raw"))
    return _Said(
        ": ".join(part for part in parts if isinstance(part, str) and part),
        tuple(word.lower() for word in words if isinstance(word, str) and word),
        None if retry is None else _duration_ms(retry),
    )


def _said_in_body(body: str) -> _Said:
    try:
        whole: Any = json.loads(body)
    except ValueError:
        return _Said(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))
    # Gemini's stream endpoint wraps its error in a list
    listed = cast("list[object]", whole) if isinstance(whole, list) else []
    parsed = _members(listed[0] if listed else cast("object", whole))
    said = _said_in(next((parsed[name] for name in ("error", "detail") if parsed.get(name) is not None), parsed))
    return said if said.message else _Said(body, said.words, said.retry_after_ms)


def _duration_ms(text: str) -> int | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)?", text.strip())
    if found is None:
        return None
    factor = {"ms": 1, "m": 60_000}.get(found[2] or "s", 1000)
    return _bounded(float(found[1]) * factor)


def _bounded(ms: float) -> int:
    """What is longer than a day counts as a day."""
    return min(_DAY_MS, int(-(-ms // 1)))


def _retry_after_of(headers: Mapping[str, str], message: str) -> int | None:
    """How long the provider wants to be left alone, ms."""
    exact, given = headers.get("retry-after-ms"), headers.get("retry-after")
    if exact is not None and re.fullmatch(r"\d+(\.\d+)?", exact):
        return _bounded(float(exact))
    if given is not None:
        seconds = _duration_ms(given)
        if seconds is not None:
            return seconds
        try:
            at = parsedate_to_datetime(given)
            return _bounded(max(0.0, (at - datetime.now(UTC)).total_seconds() * 1000))
        except (ValueError, TypeError):
            pass  # no date either: what the text says counts
    told = re.search(r"(?:try again|retry) in (\d+(?:\.\d+)?(?:ms|s|m))", message, re.IGNORECASE)
    return None if told is None else _duration_ms(told[1])
