"""Tests of agents, in process: no platform, no real time."""

from .execution import AttemptReport
from .harness import Approvals, TestRun, run_agent, run_agent_async

__all__ = ["Approvals", "AttemptReport", "TestRun", "run_agent", "run_agent_async"]
