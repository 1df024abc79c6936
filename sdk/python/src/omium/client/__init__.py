"""Clients of the platform, sync and async."""

from .client import AsyncClient, AsyncRun, Client, Run
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
    "Client",
    "DeltaView",
    "Edits",
    "EventView",
    "ExecutionView",
    "FailureView",
    "Resolution",
    "Run",
    "StepView",
    "WriteReceipt",
]
