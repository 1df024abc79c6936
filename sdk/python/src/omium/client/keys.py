"""Calls about API keys of the tenant; see `schemas/src/api/identity.ts` for the shapes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from ..json import JsonValue
from .flows import Calls, Flow, HttpRequest, Items, call, given, items, moment, pages, segment


class KeyScopes(TypedDict):
    """What a key may do, and nothing outside the workflows or agents that it names, when it names some."""

    permissions: Sequence[str]
    workflows: NotRequired[Sequence[str]]
    agents: NotRequired[Sequence[str]]


AccessHours = TypedDict(
    "AccessHours",
    {
        "days": Sequence[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
        "from": str,
        "to": str,
        "timeZone": str,
    },
)
"""When something may be used: `{"days": ["mon"], "from": "08:00", "to": "18:00", "timeZone": "Europe/Berlin"}`."""


class ApiKeyView(TypedDict):
    id: str
    name: str
    environment: Literal["live", "test"]
    prefix: str
    """its readable beginning"""
    status: Literal["live", "expired", "revoked"]
    scopes: KeyScopes
    ranges: list[str]
    hours: list[AccessHours]
    """when it may be used; empty: at any time"""
    createdBy: str
    createdAt: str
    expiresAt: NotRequired[str]
    """its own, or the end of the overlap with its successor"""
    lastUsedAt: NotRequired[str]
    """as coarse as a minute"""
    replaces: NotRequired[str]
    successor: NotRequired[str]


class IdentityReceipt(TypedDict):
    id: str
    position: str
    deduplicated: bool


class CreatedKey(IdentityReceipt):
    prefix: str
    key: str
    """shown this once: the platform does not keep it"""


class VerifiedKey(TypedDict):
    valid: bool
    id: NotRequired[str]
    scopes: NotRequired[KeyScopes]


class KeyCalls(Calls):
    """API keys of the tenant. A key is in the answer that creates it, and nowhere else, ever."""

    @items
    def list(self, *, page_size: int = 50) -> Items[ApiKeyView]:
        """Newest first, fetched page by page."""
        return pages(self._api, "/v1/keys", {"limit": page_size})

    @call
    def get(self, id: str) -> Flow[ApiKeyView]:
        """Raises OmiumError `api_key_unknown`."""
        return self._api.json(HttpRequest("GET", _path(id)))

    @call
    def create(
        self,
        name: str,
        scopes: KeyScopes,
        *,
        expires_at: datetime | None = None,
        ranges: Sequence[str] | None = None,
        hours: Sequence[AccessHours] | None = None,
    ) -> Flow[CreatedKey]:
        """A new key; nobody can give more than they have.

        `ranges`: addresses or CIDR ranges it may be used from; `hours`: when; anywhere and always unless given.
        """
        body = given(name=name, scopes=scopes, expiresAt=moment(expires_at), ranges=ranges, hours=hours)
        return self._api.json(HttpRequest("POST", "/v1/keys", body))

    @call
    def rotate(self, id: str, *, overlap: float | None = None, expires_at: datetime | None = None) -> Flow[CreatedKey]:
        """A successor with the same scopes; the old key goes on for `overlap` seconds, a day unless given."""
        overlap_ms = None if overlap is None else round(overlap * 1000)
        body = given(overlapMs=overlap_ms, expiresAt=moment(expires_at))
        return self._api.json(HttpRequest("POST", f"{_path(id)}/rotate", body))

    @call
    def revoke(self, id: str, reason: str | None = None) -> Flow[IdentityReceipt]:
        """For ever."""
        return self._api.json(HttpRequest("DELETE", _path(id), given(reason=reason)))

    @call
    def verify(self, key: str) -> Flow[VerifiedKey]:
        """Whether a text is a live key of this tenant, and what it may do."""
        body: JsonValue = {"key": key}
        return self._api.json(HttpRequest("POST", "/v1/keys/verify", body))


def _path(key_id: str) -> str:
    return f"/v1/keys/{segment(key_id)}"
