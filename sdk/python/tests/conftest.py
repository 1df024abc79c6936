"""Tests of adapters are collected where their framework is installed (`OMIUM_FRAMEWORKS=all npm test`)."""

import importlib.util
from pathlib import Path

_NEEDS = {"test_langgraph.py": "langgraph"}

collect_ignore = [
    str(Path("frameworks") / name) for name, module in _NEEDS.items() if importlib.util.find_spec(module) is None
]
