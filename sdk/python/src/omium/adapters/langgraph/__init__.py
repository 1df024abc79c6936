"""LangGraph: any graph, unchanged, as a durable agent.

1. Model calls and tool calls are journaled one by one, so that a node with several of them repeats none after a crash; the
   graph itself starts anew in every attempt, on a thread of its own, and is carried by the journal to where it was.
2. `interrupt(value)` becomes a recorded step that shows the value, and a wait: for the approval of a person when the value
   is a dict with an `approve` title (the graph resumes with True or False), otherwise for the signal `resume`, whose payload
   is what the graph resumes with. That a tool interrupted is the record of its call; resumed, it is called anew.
3. A tool tagged `omium:effect` records its intent first and is never blindly called again; its idempotency key is
   `omium.current_step().idempotency_key`. A tool tagged `omium:code` is code of the run: what it calls is recorded, not it.
4. Each super-step's state is kept among the run's checkpoints. A graph that was compiled with `OmiumCheckpointSaver` has
   its own checkpoints there as well, in the thread named by the run's id; nothing is ever read back from either.
"""

from __future__ import annotations

from .runner import durable

__all__ = ["durable"]
