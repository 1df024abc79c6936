"""The tools that a definition may name: those of the SDK, and functions of allowed modules.

1. `calculator` and `read_file` may always be named; `http_get`, and functions of the user's, only when whoever starts the
   worker allows it.
2. `read_file` reads below one folder, wherever links point. `http_get` asks named hosts only, and follows nothing.
3. What a tool gives is bounded.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, create_model

from .document import Problem
from .model import ToolUse

_GIVEN_LIMIT = 1024 * 1024
"""Bytes that a tool of the SDK gives at most."""


@dataclass(frozen=True, slots=True)
class BuiltTool:
    """`fn` takes the members of `input` by name; it may be async."""

    name: str
    description: str
    input: type[BaseModel]
    fn: Callable[..., Any]
    effect: bool
    of_user: bool


class ToolRefused(Exception):
    """A tool can't be had as it is written down."""


def build_tool(use: ToolUse, folder: Path, allowed: Collection[str]) -> BuiltTool:
    """`folder`: the definition's own. Raises ToolRefused."""
    if use.root is not None and use.use != "read_file":
        raise ToolRefused("only read_file has a `root`")
    if use.hosts is not None and use.use != "http_get":
        raise ToolRefused("only http_get has `hosts`")
    if use.use == "calculator":
        return _of_sdk(use, "Computes an arithmetic expression, e.g. (3 + 4) * 2 ** 0.5.", Expression, calculate)
    if use.use == "read_file":
        return _of_sdk(use, "Reads a text file, or lists a folder.", FileName, _reader(use, folder))
    if use.use == "http_get":
        if "http_get" not in allowed:
            raise ToolRefused("http_get is off: start the worker with --allow-tools http_get")
        return _of_sdk(use, f"Gets a page of {', '.join(use.hosts or [])}.", Url, _getter(use))
    return _of_module(use, allowed)


def build_tools(
    uses: list[ToolUse], folder: Path, allowed: Collection[str]
) -> tuple[dict[str, BuiltTool], list[Problem]]:
    """All of them by name, and what is wrong with the others."""
    built: dict[str, BuiltTool] = {}
    problems: list[Problem] = []
    for index, use in enumerate(uses):
        try:
            tool = build_tool(use, folder, allowed)
        except ToolRefused as refused:
            problems.append(Problem(("tools", index), str(refused)))
        else:
            built[tool.name] = tool
    return built, problems


def _of_sdk(use: ToolUse, description: str, given: type[BaseModel], fn: Callable[..., Any]) -> BuiltTool:
    return BuiltTool(use.known_as, use.description or description, given, fn, use.effect, of_user=False)


# ---- calculator


class Expression(BaseModel):
    expression: str = Field(max_length=1000)


def _divide(left: float, right: float) -> float:
    return left / right


def _floor(left: float, right: float) -> float:
    return left // right


_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.FloorDiv: _floor,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "abs": abs,
    "round": round,
    "min": min,
    "max": max,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_MAGNITUDE_LIMIT = 1e300


def calculate(expression: str) -> int | float:
    """Raises ValueError for what is no arithmetic."""

    def value_of(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body=body):
                return value_of(body)
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value_of(operand))
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                # whole numbers would take all memory there is
                return float(value_of(left)) ** float(value_of(right))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return bounded(_OPERATORS[type(op)](value_of(left), value_of(right)))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](*map(value_of, args))
            case _:
                raise ValueError(f"not arithmetic: {ast.unparse(node)[:100]}")

    def bounded(number: Any) -> Any:
        if isinstance(number, int) and abs(number) > _MAGNITUDE_LIMIT:
            raise ValueError("the result is too large")
        return number

    try:
        result = value_of(ast.parse(expression.strip(), mode="eval"))
    except (SyntaxError, ArithmeticError, TypeError, RecursionError, MemoryError) as cause:
        raise ValueError(f"{expression[:100]!r} cannot be computed: {cause}") from cause
    if isinstance(result, complex) or not math.isfinite(result):
        raise ValueError(f"{expression[:100]!r} is no real number")
    return int(result) if float(result).is_integer() and abs(result) < 2**53 else float(result)


# ---- read_file


class FileName(BaseModel):
    path: str = Field(description="from the root of the files", max_length=1000)


def _reader(use: ToolUse, folder: Path) -> Callable[..., Any]:
    if use.root is None:
        raise ToolRefused("read_file needs a `root`: the folder that it may read")
    root = (folder / use.root).resolve()
    if not root.is_dir():
        raise ToolRefused(f"the root {use.root!r} is no folder (looked for {root})")

    def read_file(path: str) -> str:
        wanted = (root / path.lstrip("/")).resolve()
        if not wanted.is_relative_to(root):
            raise ValueError(f"{path!r} is outside of the files that may be read")
        if wanted.is_dir():
            return "\n".join(sorted(f"{one.name}/" if one.is_dir() else one.name for one in wanted.iterdir()))
        if not wanted.is_file():
            raise ValueError(f"there is no file {path!r}")
        with wanted.open("rb") as file:
            content = file.read(_GIVEN_LIMIT + 1)
        if len(content) > _GIVEN_LIMIT:
            raise ValueError(f"{path!r} is larger than {_GIVEN_LIMIT} bytes")
        return content.decode("utf-8", "replace")

    return read_file


# ---- http_get


class Url(BaseModel):
    url: str = Field(max_length=2000)


def _getter(use: ToolUse) -> Callable[..., Any]:
    if not use.hosts:
        raise ToolRefused("http_get needs `hosts`: those that it may ask")
    hosts = {host.lower() for host in use.hosts}

    async def http_get(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.netloc.lower() not in hosts:
            raise ValueError(f"{url[:200]!r} is none of the hosts that may be asked: {', '.join(sorted(hosts))}")
        content = b""
        async with (
            httpx.AsyncClient(timeout=30, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _GIVEN_LIMIT:
                    raise ValueError(f"{url[:200]!r} is larger than {_GIVEN_LIMIT} bytes")
        text = content.decode(response.encoding or "utf-8", "replace")
        return text if response.is_success else f"status {response.status_code}: {text[:2000]}"

    return http_get


# ---- functions of the user's


def _of_module(use: ToolUse, allowed: Collection[str]) -> BuiltTool:
    module_name, _, attribute = use.use.partition(":")
    if not attribute:
        raise ToolRefused(f'there is no tool "{use.use}": use calculator, read_file, http_get or module:function')
    if module_name not in allowed and use.use not in allowed:
        raise ToolRefused(f"{use.use} is not allowed: start the worker with --allow-tools {module_name}")
    try:
        found: Any = importlib.import_module(module_name)
    except BaseException as cause:
        raise ToolRefused(f"{module_name} can't be imported: {type(cause).__name__}: {cause}") from cause
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ToolRefused(f"{module_name} has no function {attribute}")
    description = use.description or (inspect.getdoc(found) or "").strip()
    if not description:
        raise ToolRefused(f"{use.use} has no docstring: give the tool a `description`, by which models know it")
    return BuiltTool(use.known_as, description, _input_of(use, found), found, use.effect, of_user=True)


def _input_of(use: ToolUse, fn: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    try:
        parameters = inspect.signature(fn, eval_str=True).parameters
    except (ValueError, TypeError, NameError) as cause:
        raise ToolRefused(f"the parameters of {use.use} can't be told: {cause}") from cause
    for name, parameter in parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolRefused(f"{use.use} takes {name} by position: models give arguments by name")
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        fields[name] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    try:
        return create_model(f"Input of {use.known_as}", __config__=ConfigDict(arbitrary_types_allowed=False), **fields)
    except Exception as cause:
        raise ToolRefused(f"the parameters of {use.use} have types that no JSON can fill: {cause}") from cause
