"""JSON as every Omium SDK writes and hashes it.

1. Equal values have equal canonical text in every language: keys sorted by UTF-16 code units, numbers as ECMAScript
   prints them. `schemas/src/json.ts` is the source; one file of known answers is checked against both.
2. `plain_json` gives a value that survives a round trip through the platform (whose numbers are IEEE doubles) unchanged,
   so that user code sees the same value live and on replay.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from .errors import OmiumError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_encode_string = json.JSONEncoder(ensure_ascii=False).encode
_MAX_SAFE_INTEGER = 2**53 - 1


def _number_text(value: float) -> str:
    """ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20) for base 10."""
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # value = 0.digits * 10**point
    point = len(whole.lstrip("0")) if whole.strip("0") else len(digits) - len(fraction)
    point += int(exponent or 0)
    digits = digits.rstrip("0")
    count = len(digits)
    sign = "-" if value < 0 else ""
    if count <= point <= 21:
        return f"{sign}{digits}{'0' * (point - count)}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"{sign}{digits[0]}{'.' if count > 1 else ''}{digits[1:]}{power}"


def _string_text(value: str) -> str:
    text = _encode_string(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        # unpaired surrogates are escaped, as well-formed JSON.stringify does
        return "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _sorted_keys(keys: list[str]) -> list[str]:
    if all(key.isascii() for key in keys):
        return sorted(keys)
    return sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))


def canonical_json(value: JsonValue) -> str:
    """JSON with sorted keys, so that equal values have equal text. Takes plain JSON, see `plain_json`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string_text(value)
    if isinstance(value, int):
        return str(value) if abs(value) <= _MAX_SAFE_INTEGER else _number_text(float(value))
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, list):
        return f"[{','.join(map(canonical_json, value))}]"
    return f"{{{','.join(f'{_string_text(key)}:{canonical_json(value[key])}' for key in _sorted_keys(list(value)))}}}"


def hash_json(value: JsonValue) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def request_hash_of(value: JsonValue) -> str:
    """The first 16 hex digits of `hash_json`: identity of a request within one execution."""
    return hash_json(value)[:16]


def dumps(value: object) -> str:
    """Compact JSON for the wire, which UTF-8 can encode."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def _describe(value: object) -> str:
    return repr(value) if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _as_json(value: object) -> object:
    """What stands for an object that says itself how it is written; the object itself when it does not."""
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    fields: dict[str, object] | None = getattr(value, "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, enum.Enum):
        return cast(object, value.value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return value


def plain_json(value: object, what: str) -> JsonValue:
    """A copy of a value that survives a round trip through the platform unchanged.

    Tuples become lists; pydantic models, dataclasses, enums, dates and UUIDs become what they are written as; a float
    without a fraction becomes an int.

    `what` names the value in the error: `the output of step "plan"`.
    Raises OmiumError `output_invalid` naming the place in the value: NaN and infinities, integers that a double cannot
    hold, bytes, sets, keys that are not text, cycles, anything else that JSON lacks.
    """
    ancestors: list[int] = []

    def refuse(path: str, found: str) -> OmiumError:
        place = "it is" if path == "$" else f"at {path} there is"
        return OmiumError(
            "output_invalid",
            f"{what} cannot be recorded: {place} {found}, which JSON cannot hold; return plain data instead",
        )

    def number(current: float, path: str) -> JsonValue:
        if not math.isfinite(current):
            raise refuse(path, _describe(current))
        if current.is_integer() and abs(current) < 1e21:
            return int(_number_text(current))
        return current

    def integer(current: int, path: str) -> JsonValue:
        if abs(current) <= _MAX_SAFE_INTEGER:
            return int(current)
        # larger ones come from JSON that another language wrote; what a double keeps of them is stable
        try:
            stable = number(float(current), path) == current and abs(current) < 10**21
        except OverflowError:
            stable = False
        if not stable:
            raise refuse(path, f"the integer {current} beyond 2**53")
        return int(current)

    def visit(current: object, path: str) -> JsonValue:
        if current is None or isinstance(current, bool):
            return current
        kind = type(current)
        if kind is str:
            return cast(str, current)
        if kind is int:
            return integer(cast(int, current), path)
        if kind is float:
            return number(cast(float, current), path)
        if not isinstance(current, (list, tuple, dict)):
            written = _as_json(current)
            if written is not current:
                return nested(current, lambda: visit(written, path), path)
        if isinstance(current, str):
            return str.__str__(current)
        if isinstance(current, int):
            return integer(int(current), path)
        if isinstance(current, float):
            return number(float(current), path)
        if isinstance(current, (list, tuple)):
            items = cast("Sequence[object]", current)
            return nested(items, lambda: [visit(item, f"{path}[{i}]") for i, item in enumerate(items)], path)
        if isinstance(current, Mapping):
            members = cast("Mapping[object, object]", current)
            return nested(members, lambda: mapping(members, path), path)
        raise refuse(path, _describe(current))

    def mapping(current: Mapping[object, object], path: str) -> JsonValue:
        copy: dict[str, JsonValue] = {}
        for key, inner in current.items():
            if not isinstance(key, str):
                raise refuse(path, f"the key {key!r} that is not text")
            place = f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"
            copy[str.__str__(key)] = visit(inner, place)
        return copy

    def nested(owner: object, make: Any, path: str) -> JsonValue:
        if id(owner) in ancestors:
            raise refuse(path, "a reference to an object that contains it")
        ancestors.append(id(owner))
        try:
            return cast(JsonValue, make())
        finally:
            ancestors.pop()

    return visit(value, "$")
