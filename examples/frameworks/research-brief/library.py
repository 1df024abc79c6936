"""The library of the research example: search and reading over its Markdown files."""

import math
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

CORPUS = Path(os.environ.get("LIBRARY", Path(__file__).parents[2] / "research-team/corpus"))

Passage = tuple[str, str, str]
"""id (`document#paragraph`), title of its document, text"""


@cache
def passages() -> dict[str, Passage]:
    """All paragraphs, by their ids."""
    found: dict[str, Passage] = {}
    for file in sorted(CORPUS.glob("*.md")):
        title, *blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", file.read_text(encoding="utf-8"))]
        texts = [block for block in blocks if block and not block.startswith("#")]
        for number, text in enumerate(texts, 1):
            found[f"{file.stem}#{number}"] = (f"{file.stem}#{number}", title.lstrip("# "), text)
    return found


def search(query: str, limit: int = 6) -> list[dict[str, object]]:
    """The passages that fit best, by BM25 (k1 1.2, b 0.75; Robertson and Zaragoza 2009, section 3.2)."""
    texts = {id: Counter(_terms(f"{title} {text}")) for id, title, text in passages().values()}
    mean = sum(terms.total() for terms in texts.values()) / max(1, len(texts))
    scores: Counter[str] = Counter()
    for term in set(_terms(query)):
        having = [id for id, terms in texts.items() if term in terms]
        idf = math.log(1 + (len(texts) - len(having) + 0.5) / (len(having) + 0.5))
        for id in having:
            times, length = texts[id][term], texts[id].total()
            scores[id] += round(idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean)) * 1000)
    best = sorted(scores, key=lambda id: (-scores[id], id))[:limit]
    return [
        {
            "passage": id,
            "document": id.split("#")[0],
            "title": passages()[id][1],
            "score": scores[id] / 1000,
            "text": passages()[id][2],
        }
        for id in best
    ]


def document(name: str) -> dict[str, object]:
    """A whole document; without passages when there is none of that name."""
    mine = [one for one in passages().values() if one[0].split("#")[0] == name]
    title = mine[0][1] if mine else "there is no such document"
    return {"document": name, "title": title, "passages": [{"passage": id, "text": text} for id, _, text in mine]}


def _terms(text: str) -> list[str]:
    return [word.removesuffix("s") for word in re.findall(r"[a-z0-9]+", text.lower()) if len(word) > 2]
