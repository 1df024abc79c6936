"""Receiving webhooks: proving that a request comes from the platform (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

from .errors import OmiumError
from .json import JsonValue

_PREFIX = "whsec_"


class WebhookMessage(TypedDict):
    """What a webhook tells; docs/guides/webhooks.md has the `data` of each type."""

    type: str
    """e.g. `execution.failed`"""
    timestamp: str
    """when it happened, ISO 8601"""
    version: int
    """of the payload; one of a version only grows"""
    tenant: str
    data: dict[str, JsonValue]


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> WebhookMessage:
    """Proves that a request to your endpoint comes from the platform, unchanged and recently, and gives what it tells.

    `body` is what arrived, before anything has parsed it; `secret` is `whsec_...`, several while one is being replaced;
    `tolerance` is in seconds, `now` in seconds since 1970. Several deliveries may have one `webhook-id`: remember those that you
    have seen. Raises OmiumError `unauthenticated` saying what does not fit; answer such a request with 401.
    """
    found = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not found.get(name)]
    if missing:
        raise _refusal(f"the header {missing[0]} is missing")
    seconds = found["webhook-timestamp"]
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):
        raise _refusal("webhook-timestamp is no time")
    if abs((time.time() if now is None else now) - int(seconds)) > tolerance:
        raise _refusal(f"webhook-timestamp is more than {tolerance:g} s away from now")

    content = body.encode() if isinstance(body, str) else body
    signed = f"{found['webhook-id']}.{seconds}.".encode() + content
    # one is made with each secret of the endpoint
    given = [one.removeprefix("v1,") for one in found["webhook-signature"].split(" ") if one.startswith("v1,")]
    for one in [secret] if isinstance(secret, str) else secret:
        expected = base64.b64encode(hmac.digest(_key(one), signed, hashlib.sha256))
        if any(hmac.compare_digest(expected, signature.encode()) for signature in given):
            return cast(WebhookMessage, json.loads(content))
    raise _refusal("it is not signed with the secret of this endpoint, or was changed on its way")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise OmiumError("settings_invalid", f"a webhook's secret is {_PREFIX} and base64")
    return key


def _refusal(why: str) -> OmiumError:
    return OmiumError("unauthenticated", f"this is no message of Omium: {why}")
