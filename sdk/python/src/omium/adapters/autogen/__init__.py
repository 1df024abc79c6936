"""AutoGen: any agent or team of autogen-agentchat, unchanged, as a durable agent.

1. Model calls and tool calls are journaled one by one. The team starts anew in every attempt, as a copy of what its user
   made, and is carried by the journal to where it was.
2. A tool with `omium:effect` among its `tags` records its intent first, see adapters/tools.py. Code that an agent executes
   and calls of a workbench are recorded as tools are.
3. `UserProxyAgent`, and a handoff to somebody who is no participant, ask a person: they wait for the signal `resume`, whose
   payload is the answer. A `UserProxyAgent` with `omium:approval` among its `tags` asks for an approval instead.
4. Nothing but an `Exception` is raised through AutoGen: its runtime hangs on others.
"""

from __future__ import annotations

import os

os.environ.setdefault("AUTOGEN_DISABLE_RUNTIME_TRACING", "true")

from .team import durable, is_ours

__all__ = ["durable", "is_ours"]
