"""A file of YAML or JSON, with the line of each of its parts."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import OmiumError

_SIZE_LIMIT = 1024 * 1024
"""Bytes."""

Place: TypeAlias = "tuple[str | int, ...]"
"""Where something stands: `("tasks", "write", "after", 0)`."""


@dataclass(frozen=True, slots=True)
class Problem:
    place: Place
    said: str


@dataclass(frozen=True, slots=True)
class Document:
    path: Path
    value: Any
    lines: dict[Place, int]

    def refuse(self, problems: Sequence[Problem]) -> OmiumError:
        """One line for each problem: `team.yaml:12: tasks.write.agent: there is no agent "writr"`."""
        said = [f"  {self._where(problem.place)}: {problem.said}" for problem in problems]
        return OmiumError("settings_invalid", f"{self.path} has {len(problems)} problem(s)\n" + "\n".join(said))

    def _where(self, place: Place) -> str:
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known)
        return f"{self.path.name}{'' if line is None else f':{line}'}: {text_of(place)}"


def text_of(place: Place) -> str:
    """`tasks.write.after[0]`"""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text or "(the document)"


def read_document(path: Path) -> Document:
    """Raises OmiumError `not_found`, `settings_invalid` (unreadable, no YAML or JSON, a key given twice)."""
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise OmiumError("settings_invalid", f"{path} is larger than {_SIZE_LIMIT} bytes")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as cause:
        raise OmiumError("not_found", f"there is no file {path}", cause=cause) from cause
    except (OSError, UnicodeDecodeError) as cause:
        raise OmiumError("settings_invalid", f"{path} can't be read: {cause}", cause=cause) from cause
    return _read_json(path, text) if path.suffix == ".json" else _read_yaml(path, text)


def _read_json(path: Path, text: str) -> Document:
    twice: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice.extend(key for key in set(keys) if keys.count(key) > 1)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=members)
    except (ValueError, RecursionError) as cause:
        raise OmiumError("settings_invalid", f"{path} is not JSON: {cause}", cause=cause) from cause
    document = Document(path, value, {})
    if twice:
        raise document.refuse([Problem((key,), "is given twice") for key in sorted(twice)])
    return document


def _read_yaml(path: Path, text: str) -> Document:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as cause:
        said = f"{path} is YAML: install omium[definitions], or write it as JSON"
        raise OmiumError("settings_invalid", said, cause=cause) from cause
    lines: dict[Place, int] = {}
    problems: list[Problem] = []

    def walk(node: Any, place: Place) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*place, str(key.value))
                if inner in lines:
                    problems.append(Problem(inner, f"is given twice (first on line {lines[inner]})"))
                lines[inner] = key.start_mark.line + 1
                walk(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                inner = (*place, index)
                lines[inner] = value.start_mark.line + 1
                walk(value, inner)

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise OmiumError("settings_invalid", f"{path} uses YAML aliases (*name), which are not read here")
        walk(yaml.compose(text, Loader=yaml.SafeLoader), ())
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as cause:
        raise OmiumError("settings_invalid", f"{path} is not YAML: {cause}", cause=cause) from cause
    document = Document(path, value, lines)
    if problems:
        raise document.refuse(problems)
    return document
