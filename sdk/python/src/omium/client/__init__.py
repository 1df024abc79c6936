"""Clients of the platform, sync and async."""

from .client import AsyncClient, AsyncRun, Client, Run
from .feed import ChargeEvent, FollowedEvent
from .members import InvitationView, MemberView, Role
from .rewind import Edits
from .views import (
    AgentView,
    DeltaView,
    EventView,
    ExecutionView,
    FailureView,
    Resolution,
    StepView,
    WriteReceipt,
)

__all__ = [
    "AgentView",
    "AsyncClient",
    "AsyncRun",
    "ChargeEvent",
    "Client",
    "DeltaView",
    "Edits",
    "EventView",
    "ExecutionView",
    "FailureView",
    "FollowedEvent",
    "InvitationView",
    "MemberView",
    "Resolution",
    "Role",
    "Run",
    "StepView",
    "WriteReceipt",
]
