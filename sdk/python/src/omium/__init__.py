"""Omium for Python: durable agents, workers that run them, and clients that start and watch them."""

from .agent import Agent, agent
from .children import call_agent
from .client import AsyncClient, AsyncRun, Client, Edits, Run
from .context import Context, Decision, Effect
from .durations import Duration
from .errors import NonRetryableError, OmiumError, RemoteCause
from .json import JsonValue
from .llm.model import ChatResult, Price, PriceTable, Tool, ToolLoopResult, Usage
from .policy import Checkpoints, Retry, RunOptions
from .replay.step_call import Completed, Failed, Reconciliation, StepInfo, TryAgain, current_step
from .version import __version__
from .webhooks import WebhookMessage, verify_webhook
from .worker import Worker

__all__ = [
    "Agent",
    "AsyncClient",
    "AsyncRun",
    "ChatResult",
    "Checkpoints",
    "Client",
    "Completed",
    "Context",
    "Decision",
    "Duration",
    "Edits",
    "Effect",
    "Failed",
    "JsonValue",
    "NonRetryableError",
    "OmiumError",
    "Price",
    "PriceTable",
    "Reconciliation",
    "RemoteCause",
    "Retry",
    "Run",
    "RunOptions",
    "StepInfo",
    "Tool",
    "ToolLoopResult",
    "TryAgain",
    "Usage",
    "WebhookMessage",
    "Worker",
    "__version__",
    "agent",
    "call_agent",
    "current_step",
    "verify_webhook",
]
