"""What the names of projects and files tell: pure, and fast enough for pages of 20,000 files.

Two questions look alike and are not the same. `parse` reads a file of a private place, where nobody said whose it is,
and takes nothing that it cannot tell for certain. `version_of` reads a file that an upstream lists on a project's page:
odd names of twenty years are on such pages, and one that tells no version must not break the page.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from packaging.utils import NormalizedName
from packaging.version import Version

__all__ = [
    "Distribution",
    "are_normal",
    "are_plain",
    "are_safe",
    "is_file",
    "is_normalized",
    "is_safe",
    "kind_of",
    "normalize",
    "normalize_version",
    "parse",
    "quote",
    "version_of",
    "versions_of",
]

LONGEST = 255
"""Characters of a project's or file's name: no file system, and so no index, keeps a longer one."""

SIDECARS = (".metadata", ".provenance")
"""Endings of what belongs to a file; a file of its own with such a name would stand in for another's."""

_SDISTS = (".tar.gz", ".zip")
_OLD_SDISTS = (".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tbz", ".txz", ".tar.lzma", ".tar")
_ALL_SDISTS = (*_SDISTS, *_OLD_SDISTS)
_OTHERS = (".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg", "-variants.json")
_FILES = tuple(ending.lower() for ending in (".whl", *_SDISTS, *_OLD_SDISTS, *_OTHERS))

_NAME = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE | re.ASCII)
_SEPARATORS = re.compile(r"[-_.]+")
_NORMAL_VERSION = re.compile(
    r"(?:[1-9][0-9]*!)?(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*(?:(?:a|b|rc)(?:0|[1-9][0-9]*))?"
    r"(?:\.post(?:0|[1-9][0-9]*))?(?:\.dev(?:0|[1-9][0-9]*))?"
)
_ALL_NORMAL = re.compile(rf"(?:{_NORMAL_VERSION.pattern}\|)*")
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
_PLAIN_LETTERS = bytes(letter for letter in range(128) if _PLAIN.fullmatch(chr(letter)))
_SAFE_LETTERS = bytes(letter for letter in range(128) if chr(letter).isprintable() and chr(letter) not in " /\\|")
_TAG = re.compile(r"[A-Za-z0-9_.]+")
# `-py3.6`, `.win-amd64`, `.linux-x86_64`, `-1.noarch`: what distutils put behind the version.
_PLATFORM = re.compile(r"(?:-py[0-9]|\.(?:linux|macosx|win|darwin|cygwin)[-_0-9]|-[0-9]+\.[a-z]).*", re.DOTALL)
_DOTTED_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_WHEEL_PARTS = 5
_MOST_WHEEL_PARTS = 7
"""With a build tag, and the label of a wheel variant (PEP 825, a draft)."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a wheel or an sdist is of, told by its name alone."""

    project: NormalizedName
    version: str
    """As normalised by PEP 440."""
    kind: Literal["wheel", "sdist"]


@lru_cache(maxsize=4096)
def normalize(name: str) -> NormalizedName | None:
    """Give a project's name as URLs have it, or `None` where no project can be called so.

    Source: the name normalization specification; the whole name must fit, as `$` would let a newline through.
    """
    if len(name) > LONGEST or _NAME.fullmatch(name) is None:
        return None
    return NormalizedName(_SEPARATORS.sub("-", name).lower())


def is_normalized(name: str) -> bool:
    """Whether a project can be called so, and this is the spelling that URLs have."""
    return normalize(name) == name


def is_safe(filename: str) -> bool:
    """Whether a file of this name may be listed at all, and so become a segment of a URL.

    Inner spaces are let through, as old indexes have them; other letters than ASCII's are not: two spellings of one
    look the same, and no build tool writes them.
    """
    return (
        0 < len(filename) <= LONGEST
        and filename.isascii()
        and filename.isprintable()
        and "/" not in filename
        and "\\" not in filename
        and filename not in {".", ".."}
        and filename[0] != " "
        and filename[-1] != " "
        and not filename.endswith(SIDECARS)
    )


def are_safe(filenames: list[str]) -> bool:
    """Whether `is_safe` holds of all of them for certain: asked at once, as a large page has 20,000."""
    joined = "".join(filenames)
    return (
        joined.isascii()
        and not joined.encode().translate(None, _SAFE_LETTERS)
        and not any(odd in joined for odd in SIDECARS)
        and min(map(len, filenames), default=LONGEST) > len("..")
        and max(map(len, filenames), default=0) <= LONGEST
    )


def are_plain(filenames: list[str]) -> bool:
    """Whether `quote` would leave all of them as they are, asked at once."""
    joined = "".join(filenames)
    return joined.isascii() and not joined.encode().translate(None, _PLAIN_LETTERS)


def is_file(filename: str) -> bool:
    """Whether a link that ends in this name is one to a file of a project, not to another page."""
    return filename.lower().endswith(_FILES) and is_safe(filename)


def kind_of(filename: str) -> Literal["wheel", "sdist", "other"]:
    """Give the kind that rules speak of; archives that were once uploaded as sources are sdists."""
    if filename.endswith(".whl"):
        return "wheel"
    return "sdist" if filename.endswith(_ALL_SDISTS) else "other"


def quote(filename: str) -> str:
    """Give the name as a segment of a URL.

    `+` becomes `%2B`, as servers and proxies on the way may read a bare one as a space. pip and uv take both, and a
    server that decodes the path has one object.
    """
    return filename if _PLAIN.fullmatch(filename) else urllib.parse.quote(filename, safe="")


def parse(filename: str) -> Distribution | None:
    """Read a wheel's or sdist's name without knowing the project; `None` where it is neither, or not told for certain.

    Stricter than `packaging`, which reads `../x-1.0.tar.gz` and letters that are not ASCII.

    Source: the binary and source distribution format specifications, "File name convention".
    """
    if " " in filename or not is_safe(filename):
        return None
    if filename.endswith(".whl"):
        return _parse_wheel(filename)
    if not filename.endswith(_SDISTS):
        return None
    for name, version in _splits(_stem(filename)):
        project, normal = normalize(name), normalize_version(version)
        if project is not None and normal:
            return Distribution(project, normal, "sdist")
    return None


def version_of(filename: str, project: NormalizedName) -> str:
    """Give the version, as normalised by PEP 440, of a file on the page of `project`; empty where it is not told."""
    if filename.endswith(".whl"):
        parts = filename.split("-", 2)
        if len(parts) <= 2 or normalize(parts[0]) != project:  # noqa: PLR2004 - name, version, the rest
            return ""
        return normalize_version(parts[1])
    stem = _stem(filename)
    # Spelt in whatever way, the name is at least as long as the normalised one.
    dash = stem.find("-", len(project))
    while dash >= 0:
        if normalize(stem[:dash]) == project:
            rest = stem[dash + 1 :]
            return normalize_version(rest) or normalize_version(_PLATFORM.sub("", rest, count=1))
        dash = stem.find("-", dash + 1)
    return ""


def versions_of(filenames: list[str], project: NormalizedName) -> list[str]:
    """Give `version_of` of each, in half the time where most are wheels of one spelling of the name."""
    start = next((name.find("-") + 1 for name in filenames if name.endswith(".whl")), 0)
    stem = next((name[:start] for name in filenames if name.endswith(".whl")), "")
    if not start or normalize(stem[:-1]) != project:
        return [version_of(each, project) for each in filenames]
    joined = "|" + "|".join(filenames)
    begun = joined.split(f"|{stem}")
    if len(begun) == len(filenames) + 1 == joined.count("|") + 1 and f"{joined}|".count(".whl|") == len(filenames):
        # Nothing but such wheels. One without a second dash gives what is no version.
        texts = [rest.partition("-")[0] for rest in begun[1:]]
        if are_normal([*set(texts)]):
            return texts
    texts = [
        each[start:end]
        if each.startswith(stem) and each.endswith(".whl") and (end := each.find("-", start)) > 0
        else ""
        for each in filenames
    ]
    known = {text: normalize_version(text) for text in set(texts)}
    return [known[text] if text else version_of(each, project) for each, text in zip(filenames, texts, strict=True)]


def are_normal(versions: list[str]) -> bool:
    """Whether all of them are as PEP 440 normalises them, asked at once."""
    if max(map(len, versions), default=0) > LONGEST:
        return False
    joined = "|".join((*versions, ""))
    if joined.count("|") != len(versions):
        return False
    if joined.isascii() and not joined.encode().translate(None, b"0123456789.|"):
        # Numbers and dots alone: no number may be missing, or begin with a zero and go on.
        numbers = f"|{joined[:-1].replace('|', '.').replace('.', '||')}|"
        return not versions or (
            "|||" not in numbers and numbers != "||" and numbers.count("|0") == numbers.count("|0|")
        )
    return _ALL_NORMAL.fullmatch(joined) is not None


@lru_cache(maxsize=8192)
def normalize_version(text: str) -> str:
    """Give a version as PEP 440 normalises it; empty where it is none."""
    if len(text) > LONGEST or not text.isascii() or not text.isprintable() or text.strip() != text:
        return ""
    if _NORMAL_VERSION.fullmatch(text):
        return text
    # Wheels write `-` as `_`, also the one of a post-release: `1.0_1`.
    for spelling in (text, text.replace("_", "-")):
        try:
            return str(Version(spelling))
        except ValueError:
            continue
    return ""


def _parse_wheel(filename: str) -> Distribution | None:
    parts = filename.removesuffix(".whl").split("-")
    if not _WHEEL_PARTS <= len(parts) <= _MOST_WHEEL_PARTS:
        return None
    if not all(map(_TAG.fullmatch, parts[2:])):
        return None
    # Seven parts have both a build tag and a label; with six, the build tag is the one that begins with a digit.
    if len(parts) == _MOST_WHEEL_PARTS and not parts[2][0].isdigit():
        return None
    project, version = normalize(parts[0]), normalize_version(parts[1])
    return Distribution(project, version, "wheel") if project is not None and version else None


def _splits(stem: str) -> Iterator[tuple[str, str]]:
    """Give the ways to part a name from a version, the likeliest first.

    Names may have dashes, and so may old versions: `foo-1.0-1` is a post-release, `foo-1.0-rc1` a candidate.
    """
    head, _, tail = stem.rpartition("-")
    name, _, middle = head.rpartition("-")
    if name and tail.isdigit() and _DOTTED_NUMBER.fullmatch(middle):
        yield name, f"{middle}-{tail}"
    yield head, tail
    yield name, f"{middle}-{tail}"


def _stem(filename: str) -> str:
    for ending in (*_SDISTS, *_OLD_SDISTS, *_OTHERS):
        if filename.endswith(ending):
            return filename[: -len(ending)]
    return filename
