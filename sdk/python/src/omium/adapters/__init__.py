"""Adapters: agents of other frameworks, run durably and unchanged."""

from __future__ import annotations

from .detect import agent_of, extra_of, forbid_telemetry

__all__ = ["agent_of", "extra_of", "forbid_telemetry"]
