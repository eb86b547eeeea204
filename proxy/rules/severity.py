"""How grave an advisory is: from its CVSS vectors, else from the word of the database that has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

Level = Literal["low", "medium", "high", "critical"]

_FLOORS: dict[Level, float] = {"critical": 9.0, "high": 7.0, "medium": 4.0, "low": 0.1}
"""Source: CVSS v3.1 §5 and v4.0 §6, the qualitative severity rating scale."""
_WORDS: dict[str, Level] = {
    "low": "low",
    "moderate": "medium",
    "medium": "medium",
    "important": "high",
    "high": "high",
    "critical": "critical",
}


def floor_of(level: Level) -> float:
    """Give the lowest score of a level."""
    return _FLOORS[level]


def level_of(score: float) -> str:
    """Give the word for a score."""
    return next((level for level, floor in _FLOORS.items() if score >= floor), "none")


def score_of(vectors: Iterable[Any], words: Iterable[Any]) -> float | None:
    """Give the score of an advisory, or `None` where nobody says.

    `vectors` are entries of OSV's `severity`: the highest one that can be read counts. Without any, the first
    word in `words` (`HIGH`, `MODERATE`) that is known stands for the lowest score of its level.

    Source: the OSV format, "severity[] field" and "database_specific field".
    """
    scores = [score for entry in vectors if (score := _score_of_entry(entry)) is not None]
    if scores:
        return max(scores)
    for word in words:
        level = _WORDS.get(word.strip().lower()) if isinstance(word, str) else None
        if level is not None:
            return _FLOORS[level]
    return None


def _score_of_entry(entry: Any) -> float | None:  # noqa: ANN401 - whatever a database wrote
    if not isinstance(entry, Mapping):
        return None
    vector = entry.get("score")
    return _score(str(entry.get("type", "")), vector.strip()) if isinstance(vector, str) else None


@lru_cache(maxsize=4096)
def _score(kind: str, vector: str) -> float | None:
    # Few servers have a database of advisories.
    from cvss import CVSS2, CVSS3, CVSS4  # noqa: PLC0415
    from cvss.exceptions import CVSSError  # noqa: PLC0415

    try:
        if vector.startswith("CVSS:4"):
            return float(CVSS4(vector).base_score)
        if vector.startswith("CVSS:3"):
            return float(CVSS3(vector).base_score)
        if kind == "CVSS_V2":
            return float(CVSS2(vector).base_score)
    except (CVSSError, ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return None
