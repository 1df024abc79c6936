"""Semantic Kernel: agents, orchestrations, processes and kernels, unchanged, as durable agents.

1. Model calls and calls of kernel functions are journaled one by one. What runs starts anew in every attempt, with a thread
   and a runtime of its own, and is carried by the journal to where it was.
2. A kernel function made of a method is a tool, recorded as a leaf; `omium:effect` among the method's `tags` records its
   intent first, see tools.py. Those that only lead on are code and not recorded: steps of a process, agents used as
   functions, handoffs, and methods that are given the kernel (unless they are tagged).
3. Where an orchestration asks a person (`human_response_function`), the run waits for the signal `resume`, whose payload is
   the answer; or for an approval, when that function has `omium:approval` among its `tags`. The function is not called.
4. A step of a process that fails, with nobody listening to its error, fails the run.
"""

from __future__ import annotations

import os

os.environ.setdefault("AZURE_TELEMETRY_DISABLED", "true")

from .runner import durable, is_ours

__all__ = ["durable", "is_ours"]
