"""Which form of a page a client gets: format and content coding, from what it asked for.

The order in which the forms of a page are preferred:

    1. what `?format=` names, if it is one we have;
    2. the highest q-value in `Accept`, where the most specific range that fits a form decides its q-value;
    3. of equal ones, a form that is named before one that a wildcard fits;
    4. of equal named ones, the one that carries more: JSON, v1+html, text/html;
    5. of equal ones that only a wildcard fits: text/html, v1+html. JSON is sent only to those who name it, as old
       clients that read nothing but HTML say `*/*` or nothing; unless they refuse every other form.

Source: PEP 691 ("Version + Format Selection"), RFC 9110 §12.4, §12.5.1 and §12.5.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache

__all__ = ["Coding", "MediaType", "choose", "choose_coding", "content_type"]


class MediaType(StrEnum):
    """The forms that a page has."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    TEXT_HTML = "text/html"


class Coding(StrEnum):
    """The content codings that a page has."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


_NAMES = {
    "application/vnd.pypi.simple.v1+json": MediaType.JSON,
    "application/vnd.pypi.simple.latest+json": MediaType.JSON,
    "application/vnd.pypi.simple.v1+html": MediaType.HTML,
    "application/vnd.pypi.simple.latest+html": MediaType.HTML,
    "text/html": MediaType.TEXT_HTML,
}
_WILDCARDS = {
    "*/*": (MediaType.TEXT_HTML, MediaType.HTML, MediaType.JSON),
    "text/*": (MediaType.TEXT_HTML,),
    "application/*": (MediaType.HTML, MediaType.JSON),
}
_CODINGS = {"zstd": Coding.ZSTD, "gzip": Coding.GZIP, "x-gzip": Coding.GZIP, "identity": Coding.IDENTITY}

# How closely a range fits.
_ANYTHING, _SAME_TYPE, _NAMED = 1, 2, 3
# Of equal forms, the later one in these is sent.
_IF_NAMED = (MediaType.TEXT_HTML, MediaType.HTML, MediaType.JSON)
_IF_WILD = (MediaType.JSON, MediaType.HTML, MediaType.TEXT_HTML)
_CODING_ORDER = (Coding.IDENTITY, Coding.GZIP, Coding.ZSTD)

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf"{_WORD}/{_WORD}")
_CODING = re.compile(_WORD)
_QUALITY = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+", re.ASCII)
_REMEMBERED = 256
"""Headers whose meaning is kept: clients have few, and one may be 8 kB long."""


@lru_cache(maxsize=_REMEMBERED)
def choose(accept: str | None, format: str | None = None) -> MediaType | None:  # noqa: A002 - the parameter's name
    """Choose a page's form from the `Accept` header and the `format` parameter; `None`: nothing is acceptable.

    A header without one valid range says nothing, and counts as none.
    """
    if format is not None:
        # A `+` of a query that nobody quoted arrives as a space.
        named = _NAMES.get(format.strip().replace(" ", "+").lower())
        if named is not None:
            return named
    fits: dict[MediaType, tuple[int, float]] = {}
    said = False
    for text, quality in _elements(accept or "", _RANGE):
        said = True
        for form, closeness in _forms(text):
            fits[form] = max(fits.get(form, (0, 0.0)), (closeness, quality))
    if not said:
        return MediaType.TEXT_HTML
    acceptable = [form for form, (_, quality) in fits.items() if quality > 0]
    named_or_html = [form for form in acceptable if form is not MediaType.JSON or fits[form][0] == _NAMED]
    return max(named_or_html or acceptable, key=lambda form: _rank(form, *fits[form]), default=None)


def content_type(media_type: MediaType) -> str:
    """Give the `Content-Type` of a page in this form."""
    return media_type.value if media_type is MediaType.JSON else f"{media_type.value}; charset=utf-8"


@lru_cache(maxsize=_REMEMBERED)
def choose_coding(accept_encoding: str | None) -> Coding:
    """Choose a page's content coding from the `Accept-Encoding` header.

    `*` gives gzip, which everybody reads, and zstd only to those who name it. A client that refuses every coding, even
    none, gets none, as RFC 9110 §12.5.3 allows.
    """
    qualities: dict[Coding, float] = {}
    wild: float | None = None
    for text, quality in _elements(accept_encoding or "", _CODING):
        if text == "*":
            wild = quality
        elif text in _CODINGS:
            qualities[_CODINGS[text]] = max(qualities.get(_CODINGS[text], 0.0), quality)
    if wild is not None:
        qualities.setdefault(Coding.GZIP, wild)
    if Coding.IDENTITY not in qualities:
        # Unless refused it is always acceptable, and liked least.
        qualities[Coding.IDENTITY] = 0.0
    best = max(qualities, key=lambda coding: (qualities[coding], _CODING_ORDER.index(coding)))
    return best if qualities[best] > 0 else Coding.IDENTITY


def _forms(text: str) -> Iterator[tuple[MediaType, int]]:
    if text in _NAMES:
        yield _NAMES[text], _NAMED
    for form in _WILDCARDS.get(text, ()):
        yield form, _ANYTHING if text == "*/*" else _SAME_TYPE


def _rank(form: MediaType, closeness: int, quality: float) -> tuple[float, bool, int]:
    is_named = closeness == _NAMED
    return quality, is_named, (_IF_NAMED if is_named else _IF_WILD).index(form)


def _elements(header: str, shape: re.Pattern[str]) -> Iterator[tuple[str, float]]:
    """Give what a header lists, in lower case, with q-values from 0 to 1; what is not valid is passed over."""
    # Commas and semicolons within quotes part nothing.
    for element in _QUOTED.sub("x", header).split(","):
        text, *parameters = (piece.strip() for piece in element.split(";"))
        quality = _quality(parameters)
        if quality is not None and shape.fullmatch(text):
            yield text.lower(), quality


def _quality(parameters: list[str]) -> float | None:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            value = value.strip()
            return min(float(value), 1.0) if _QUALITY.fullmatch(value) else None
    return 1.0
