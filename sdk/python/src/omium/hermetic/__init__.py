"""Recorded runs against today's code, without a network: for CI, before a new version goes out."""

from .process import replay_runs
from .replay import RecordedRun, Verdict, recorded_run, replay_recorded

__all__ = ["RecordedRun", "Verdict", "recorded_run", "replay_recorded", "replay_runs"]
