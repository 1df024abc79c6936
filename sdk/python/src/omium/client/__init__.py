"""Clients of the platform, sync and async."""

from .asynchronous import AsyncClient, AsyncRun
from .synchronous import Client, Run
from .views import AgentView, EventView, ExecutionView, Resolution, StepView, WriteReceipt

__all__ = [
    "AgentView",
    "AsyncClient",
    "AsyncRun",
    "Client",
    "EventView",
    "ExecutionView",
    "Resolution",
    "Run",
    "StepView",
    "WriteReceipt",
]
