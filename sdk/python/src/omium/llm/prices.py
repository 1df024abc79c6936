"""What model calls cost. The same table and arithmetic as in the TypeScript SDK."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from ..json import dumps
from .model import ChatRequest, Completion, Price, PriceTable, Usage

default_prices: Final = PriceTable(
    version="2026-01",
    models={
        "gpt-4o": Price(2.5, 10),
        "gpt-4o-mini": Price(0.15, 0.6),
        "gpt-4.1": Price(2, 8),
        "gpt-4.1-mini": Price(0.4, 1.6),
        "gpt-4.1-nano": Price(0.1, 0.4),
        "gpt-5": Price(1.25, 10),
        "gpt-5-mini": Price(0.25, 2),
        "gpt-5-nano": Price(0.05, 0.4),
        "o3": Price(2, 8),
        "o4-mini": Price(1.1, 4.4),
        "claude-opus-4": Price(15, 75),
        "claude-sonnet-4": Price(3, 15),
        "claude-haiku-4": Price(1, 5),
    },
)
"""List prices of common models. A worker may bring its own table; a model that is in none has no recorded cost."""

_ASSUMED_OUTPUT_TOKENS = 4096
"""Tokens that an answer may have when the request sets no limit."""


def _price_of(table: PriceTable, model: str) -> Price | None:
    bare = model.rsplit("/", 1)[-1]
    fitting = [prefix for prefix in table.models if bare.startswith(prefix)]
    return table.models[max(fitting, key=len)] if fitting else None


def _cost(price: Price, input_tokens: float, output_tokens: float) -> int:
    # exact: 0.1 + 0.2 credits must not round up to another micro-credit
    exact = Fraction(str(price.input)) * Fraction(input_tokens) + Fraction(str(price.output)) * Fraction(output_tokens)
    return math.ceil(exact)


def usage_of(table: PriceTable, completion: Completion) -> Usage:
    """Tokens and cost of one answer.

    The cost is what the endpoint said; otherwise the table's, rounded up to whole micro-credits, and absent for models
    without a price.
    """
    usage: Usage = {"model": completion["model"]}
    if "inputTokens" in completion:
        usage["inputTokens"] = completion["inputTokens"]
    if "outputTokens" in completion:
        usage["outputTokens"] = completion["outputTokens"]
    price = _price_of(table, completion["model"])
    if "costMicroCredits" in completion:
        usage["costMicroCredits"] = completion["costMicroCredits"]
    elif price is not None:
        usage["costMicroCredits"] = _cost(price, completion.get("inputTokens", 0), completion.get("outputTokens", 0))
    return usage


def worst_case_micro_credits(table: PriceTable, request: ChatRequest) -> int:
    """The most that a request may cost, micro-credits.

    Text of the priced models averages three to four bytes a token, so half the bytes of its JSON bound the input from
    above; the output is bounded by the request's own limit.
    """
    price = _price_of(table, str(request.get("model", "")))
    if price is None:
        return 0
    output_tokens = request.get("max_completion_tokens") or request.get("max_tokens") or _ASSUMED_OUTPUT_TOKENS
    return _cost(price, len(dumps(request).encode()) / 2, float(output_tokens))
