"""Calls about the people of the tenant; see `schemas/src/api/identity.ts` for the shapes."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from .flows import Calls, Flow, HttpRequest, Items, call, items, pages, segment
from .keys import IdentityReceipt

Role: TypeAlias = Literal["owner", "admin", "developer", "operator", "viewer", "billing"]
"""What a member may do."""


class MemberView(TypedDict):
    userId: str
    role: Role
    since: str
    email: NotRequired[str]
    """absent when the person was erased"""
    name: NotRequired[str]


class InvitationView(TypedDict):
    id: str
    email: NotRequired[str]
    role: Role
    status: Literal["open", "expired"]
    invitedBy: str
    invitedAt: str
    expiresAt: str


class MemberCalls(Calls):
    """The people of the tenant. A call about somebody else raises OmiumError `member_unknown`."""

    @items
    def list(self, *, page_size: int = 50) -> Items[MemberView]:
        """By id, fetched page by page."""
        return pages(self._api, "/v1/members", {"limit": page_size})

    @call
    def get(self, user_id: str) -> Flow[MemberView]:
        """One of them."""
        return self._api.json(HttpRequest("GET", f"/v1/members/{segment(user_id)}"))

    @call
    def set_role(self, user_id: str, role: Role) -> Flow[IdentityReceipt]:
        """Nobody gives a role that is above their own. Raises OmiumError `last_owner`, `forbidden`."""
        return self._api.json(HttpRequest("PATCH", f"/v1/members/{segment(user_id)}", {"role": role}))

    @call
    def remove(self, user_id: str) -> Flow[IdentityReceipt]:
        """Their sessions in the tenant end; keys that they made go on. Raises OmiumError `last_owner`."""
        return self._api.json(HttpRequest("DELETE", f"/v1/members/{segment(user_id)}"))


class InvitationCalls(Calls):
    """Invitations that nobody has accepted yet. Accepting one takes a session: `omium invitations accept`."""

    @items
    def list(self, *, page_size: int = 50) -> Items[InvitationView]:
        """Newest first, fetched page by page."""
        return pages(self._api, "/v1/invitations", {"limit": page_size})

    @call
    def create(self, email: str, role: Role) -> Flow[IdentityReceipt]:
        """An open invitation to the address is replaced. Raises OmiumError `invalid_request`, `forbidden`."""
        return self._api.json(HttpRequest("POST", "/v1/invitations", {"email": email, "role": role}))

    @call
    def revoke(self, id: str) -> Flow[IdentityReceipt]:
        """Takes one back. Raises OmiumError `invitation_unknown`."""
        return self._api.json(HttpRequest("DELETE", f"/v1/invitations/{segment(id)}"))
