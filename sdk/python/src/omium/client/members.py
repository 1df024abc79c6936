"""Calls about people of the tenant; see `schemas/src/api/identity.ts` for the shapes."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from .flows import Calls, Flow, HttpRequest, Items, call, items, pages, segment

Role = Literal["owner", "admin", "developer", "operator", "viewer", "billing"]


class MemberView(TypedDict):
    userId: str
    role: Role
    since: str
    email: NotRequired[str]
    """absent once they are erased"""
    name: NotRequired[str]


class InvitationView(TypedDict):
    id: str
    email: NotRequired[str]
    role: Role
    status: Literal["open", "expired"]
    invitedBy: str
    invitedAt: str
    expiresAt: str


class ReceivedInvitation(TypedDict):
    id: str
    tenant: str
    tenantName: str
    role: Role
    expiresAt: str


class MemberReceipt(TypedDict):
    id: str
    position: str
    deduplicated: bool


class MemberCalls(Calls):
    """People of the tenant."""

    @items
    def list(self, *, page_size: int = 50) -> Items[MemberView]:
        """Fetched page by page."""
        return pages(self._api, "/v1/members", {"limit": page_size})

    @call
    def get(self, user_id: str) -> Flow[MemberView]:
        """Raises OmiumError `member_unknown`."""
        return self._api.json(HttpRequest("GET", f"/v1/members/{segment(user_id)}"))

    @call
    def set_role(self, user_id: str, role: Role) -> Flow[MemberReceipt]:
        return self._api.json(HttpRequest("PATCH", f"/v1/members/{segment(user_id)}", {"role": role}))

    @call
    def remove(self, user_id: str) -> Flow[MemberReceipt]:
        """Their sessions in the tenant end. People may remove themselves. Raises OmiumError `last_owner`."""
        return self._api.json(HttpRequest("DELETE", f"/v1/members/{segment(user_id)}"))


class InvitationCalls(Calls):
    """Who is asked to become a member."""

    @items
    def list(self, *, page_size: int = 50) -> Items[InvitationView]:
        """Those of the tenant, fetched page by page."""
        return pages(self._api, "/v1/invitations", {"limit": page_size})

    @call
    def create(self, email: str, role: Role) -> Flow[MemberReceipt]:
        """An open invitation to the same address is replaced."""
        return self._api.json(HttpRequest("POST", "/v1/invitations", {"email": email, "role": role}))

    @call
    def revoke(self, id: str) -> Flow[MemberReceipt]:
        return self._api.json(HttpRequest("DELETE", f"/v1/invitations/{segment(id)}"))
