"""Which license a distribution has, by its core metadata, and whether a feed's rule permits it.

In this order: `License-Expression`; a `License` that is an SPDX expression; the classifiers. A classifier that may
mean several licenses ("BSD License") is permitted only where each of them is.

Source: PEP 639 and the core metadata specification; SPDX 2.3, annex D (expressions).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import lru_cache

import msgspec

from proxy.rules.wheel import headers_of

_CLASSIFIER = "License :: "
_LONGEST = 300
"""Characters: a `License` that is longer is the text of one."""
_LONGEST_SAID = 1000
"""Characters that are kept of what was said, and up to which an expression is read."""
_PROPRIETARY = "LicenseRef-Proprietary"
_PUBLIC_DOMAIN = "LicenseRef-Public-Domain"
_GPL = ("GPL-1.0-or-later", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later")
_LGPL = ("LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later")
_CLASSIFIERS: dict[str, tuple[str, ...]] = {
    "Academic Free License (AFL)": ("AFL-3.0",),
    "Apache Software License": ("Apache-2.0",),
    "Artistic License": ("Artistic-1.0", "Artistic-2.0"),
    "BSD License": ("BSD-2-Clause", "BSD-3-Clause"),
    "Blue Oak Model License (BlueOak-1.0.0)": ("BlueOak-1.0.0",),
    "Boost Software License 1.0 (BSL-1.0)": ("BSL-1.0",),
    "Eclipse Public License 1.0 (EPL-1.0)": ("EPL-1.0",),
    "Eclipse Public License 2.0 (EPL-2.0)": ("EPL-2.0",),
    "European Union Public Licence 1.1 (EUPL 1.1)": ("EUPL-1.1",),
    "European Union Public Licence 1.2 (EUPL 1.2)": ("EUPL-1.2",),
    "GNU Affero General Public License v3": ("AGPL-3.0-only",),
    "GNU Affero General Public License v3 or later (AGPLv3+)": ("AGPL-3.0-or-later",),
    "GNU General Public License (GPL)": _GPL,
    "GNU General Public License v2 (GPLv2)": ("GPL-2.0-only",),
    "GNU General Public License v2 or later (GPLv2+)": ("GPL-2.0-or-later",),
    "GNU General Public License v3 (GPLv3)": ("GPL-3.0-only",),
    "GNU General Public License v3 or later (GPLv3+)": ("GPL-3.0-or-later",),
    "GNU Lesser General Public License v2 (LGPLv2)": ("LGPL-2.0-only",),
    "GNU Lesser General Public License v2 or later (LGPLv2+)": ("LGPL-2.0-or-later",),
    "GNU Lesser General Public License v3 (LGPLv3)": ("LGPL-3.0-only",),
    "GNU Lesser General Public License v3 or later (LGPLv3+)": ("LGPL-3.0-or-later",),
    "GNU Library or Lesser General Public License (LGPL)": _LGPL,
    "Historical Permission Notice and Disclaimer (HPND)": ("HPND",),
    "ISC License (ISCL)": ("ISC",),
    "MIT License": ("MIT",),
    "MIT No Attribution License (MIT-0)": ("MIT-0",),
    "Mozilla Public License 1.0 (MPL)": ("MPL-1.0",),
    "Mozilla Public License 1.1 (MPL 1.1)": ("MPL-1.1",),
    "Mozilla Public License 2.0 (MPL 2.0)": ("MPL-2.0",),
    "Mulan Permissive Software License v2 (MulanPSL-2.0)": ("MulanPSL-2.0",),
    "PostgreSQL License": ("PostgreSQL",),
    "Python License (CNRI Python License)": ("CNRI-Python",),
    "Python Software Foundation License": ("PSF-2.0",),
    "The Unlicense (Unlicense)": ("Unlicense",),
    "Universal Permissive License (UPL)": ("UPL-1.0",),
    "University of Illinois/NCSA Open Source License": ("NCSA",),
    "W3C License": ("W3C",),
    "Zope Public License": ("ZPL-2.1",),
    "zlib/libpng License": ("Zlib",),
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": ("CC0-1.0",),
    "Public Domain": (_PUBLIC_DOMAIN,),
    "Other/Proprietary License": (_PROPRIETARY,),
}
_SPELLINGS = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "gplv2": "GPL-2.0-only",
    "gplv3": "GPL-3.0-only",
    "gplv3+": "GPL-3.0-or-later",
    "isc license": "ISC",
    "mit license": "MIT",
    "mpl 2.0": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "psf": "PSF-2.0",
    "public domain": _PUBLIC_DOMAIN,
    "the mit license": "MIT",
}


class License(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a distribution says of its license, read as SPDX."""

    said: str = ""
    """As it was written, on one line; empty where nothing was said."""
    expressions: tuple[str, ...] = ()
    """Canonical expressions of which each must be permitted; empty where what was said is not understood."""


def license_of(metadata: bytes) -> License:
    """Read METADATA. What is missing or not understood gives no expressions."""
    message = HeaderParser().parsestr(headers_of(metadata).decode("utf-8", "replace"), headersonly=True)
    expressions = message.get_all("License-Expression", [])
    if expressions:
        expression = ", ".join(" ".join(one.split()) for one in expressions)
        # Said twice it is not a licence but a riddle, and no expression either.
        is_readable = len(expressions) == 1 and len(expression) <= _LONGEST_SAID
        canonical = canonical_of(expression) if is_readable else None
        return License(expression[:_LONGEST_SAID], () if canonical is None else (canonical,))
    text = " ".join(message.get("License", "").split())
    if text and len(text) <= _LONGEST:
        canonical = canonical_of(_SPELLINGS.get(text.lower(), text))
        if canonical is not None:
            return License(text, (canonical,))
    classifiers = [value for value in message.get_all("Classifier", []) if value.startswith(_CLASSIFIER)]
    names = [name for name in (value.rpartition(" :: ")[2].strip() for value in classifiers) if name != "OSI Approved"]
    understood = [_CLASSIFIERS.get(name) for name in names]
    said = ", ".join(names)[:_LONGEST_SAID] or text[:_LONGEST]
    if not understood or None in understood:
        return License(said)
    return License(said, tuple(dict.fromkeys(one for group in understood if group is not None for one in group)))


@lru_cache(maxsize=4096)
def canonical_of(expression: str) -> str | None:
    """Give an SPDX expression in its canonical spelling, or `None` where it is none."""
    # With the list of all licenses, which few servers need.
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression  # noqa: PLC0415

    try:
        return canonicalize_license_expression(expression)
    except InvalidLicenseExpression:
        return None


@dataclass(frozen=True, slots=True)
class LicenseRule:
    """Which licenses are permitted: SPDX identifiers, with `*` for anything (`GPL-*`). Deny beats allow."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    hide_unknown: bool = True

    def objection(self, known: License | None) -> str | None:
        """Give what speaks against a license, in words, or `None`. `known` is `None` where none could be read."""
        if known is None:
            return "its license is not known here" if self.hide_unknown else None
        if not known.expressions:
            shown = f"its license is not understood ({known.said!r})" if known.said else "it names no license"
            return shown if self.hide_unknown else None
        for expression in known.expressions:
            if not _evaluate(_tokens(expression), self._permits):
                denied = [name for name in _names(expression) if self._matches(name, self.deny)]
                why = f"{', '.join(denied)} is denied" if denied else "that is not on the list of what is allowed"
                shown = known.said if known.said == expression else f"{known.said} ({expression})"
                return f"its license is {shown}, and {why}"
        return None

    def _permits(self, name: str) -> bool:
        if self._matches(name, self.deny):
            return False
        return self.allow is None or self._matches(name, self.allow)

    def _matches(self, name: str, patterns: tuple[str, ...]) -> bool:
        plain = name.partition(" WITH ")[0]
        spellings = {name, plain, plain.removesuffix("+")}
        return any(_compiled(pattern).fullmatch(spelling) for pattern in patterns for spelling in spellings)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.IGNORECASE)


def _tokens(expression: str) -> list[str]:
    """Give brackets, `AND`, `OR`, and licenses, those with an exception as one."""
    tokens: list[str] = []
    words = expression.replace("(", " ( ").replace(")", " ) ").split()
    for index, word in enumerate(words):
        if word == "WITH" or (index and words[index - 1] == "WITH"):
            tokens[-1] += f" {word}"
        else:
            tokens.append(word)
    return tokens


def _names(expression: str) -> Iterator[str]:
    return (token for token in _tokens(expression) if token not in {"(", ")", "AND", "OR"})


def _evaluate(tokens: list[str], permits: Callable[[str], bool]) -> bool:
    """Say whether one may choose so that all that is chosen is permitted; `AND` binds closer than `OR`."""
    position = 0

    def either() -> bool:
        nonlocal position
        result = both()
        while position < len(tokens) and tokens[position] == "OR":
            position += 1
            # Both sides are read, whatever the first one says.
            result = both() or result
        return result

    def both() -> bool:
        nonlocal position
        result = one()
        while position < len(tokens) and tokens[position] == "AND":
            position += 1
            result = one() and result
        return result

    def one() -> bool:
        nonlocal position
        word = tokens[position]
        position += 1
        if word != "(":
            return permits(word)
        result = either()
        position += 1
        return result

    return either()
