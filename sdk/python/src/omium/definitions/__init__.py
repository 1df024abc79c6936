"""Teams written down in YAML or JSON: read, checked, and built into a durable agent without code of the user's.

document.py  reads a file; knows on which line what stands
model.py     what may stand in it, and what must hold between its parts
tools.py     the tools that it may name
plain.py     builds a team on `ctx.llm`; langgraph.py, crewai.py, autogen.py, semantic_kernel.py: on a framework
"""

from .load import is_definition, load_definition

__all__ = ["is_definition", "load_definition"]
