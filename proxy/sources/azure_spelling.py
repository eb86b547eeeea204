"""Finds the files of one project among many by the beginnings of their names.

The service lists by prefix, and tells upper from lower case and `-` from `_`; projects do not. So a
project's name is spelt in all ways, but only as far as it must be: one prefix of a few letters, most of
whose spellings nobody uses, already tells a project from most others.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from packaging.utils import NormalizedName

MOST_SPELLINGS = 16
"""How many prefixes are tried at a time."""

_SEPARATORS = "-_."


@dataclass(frozen=True, slots=True)
class Beginning:
    """The beginning of a name in one spelling, and how much of the normalised name that is."""

    text: str
    length: int

    def is_whole(self, project: NormalizedName) -> bool:
        """Whether the name is spelt out, with the dash of a file or the slash of a folder behind it."""
        return self.length > len(project)


def lengthen(beginning: Beginning, project: NormalizedName) -> list[Beginning]:
    """Give every longer beginning that a file of `project`, which begins like this, may have.

    Source: the name normalization specification: runs of `-`, `_` and `.` are one dash, and case is no difference.
    """
    rest = project[beginning.length :]
    # A separator may be followed by more of them, which no normalised name tells.
    repeats = beginning.length > 0 and beginning.text[-1] in _SEPARATORS
    more = [Beginning(beginning.text + mark, beginning.length) for mark in _SEPARATORS] if repeats else []
    if not rest:
        return [Beginning(beginning.text + end, beginning.length + 1) for end in "-/"]
    if rest[0] == "-":
        return [Beginning(beginning.text + mark, beginning.length + 1) for mark in _SEPARATORS]
    letters: list[tuple[str, ...]] = []
    spellings = 1
    for letter in rest:
        ways = (letter, letter.upper()) if letter.isalpha() else (letter,)
        if letter == "-" or spellings * len(ways) > MOST_SPELLINGS:
            break
        spellings *= len(ways)
        letters.append(ways)
    length = beginning.length + len(letters)
    return [*more, *(Beginning(beginning.text + "".join(ways), length) for ways in product(*letters))]
