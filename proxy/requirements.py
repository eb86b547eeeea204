"""What a requirements or lock file asks for: `requirements.txt`, `pylock.toml`, `uv.lock`.

Source: pip's requirements file format; PEP 751 (pylock.toml); uv's lock file, version 1.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from proxy.simple.filename import normalize
from proxy.simple.model import NormalizedName

_COMMENT = re.compile(r"(^|\s+)#.*$")
_OPTIONS = re.compile(r"\s--?[a-z]")
_HASH = re.compile(r"sha256:([0-9a-f]{64})\b")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=)?(?P<file>\S.*)")
_DEEPEST = 20


class Unreadable(Exception):
    """The file cannot be read as what it is; says where and why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One project that is asked for."""

    project: NormalizedName
    specifier: SpecifierSet
    filenames: tuple[str, ...] = ()
    """The files that a lock names; empty where any will do."""
    digests: frozenset[str] = frozenset()
    """The sha256 that one of them must have; empty where any will do."""
    where: str = ""
    """Where it stands: a file and a line, or a file and a place in it."""

    @property
    def text(self) -> str:
        """The requirement as one would write it."""
        return f"{self.project}{self.specifier}"


def read(file: Path) -> list[Wanted]:
    """Read a file by what its name and its content say it is. Raises: Unreadable."""
    if file.suffix in {".toml", ".lock"}:
        try:
            document = tomllib.loads(_text(file))
        except tomllib.TOMLDecodeError as error:
            raise Unreadable(f"{file} is no TOML: {error}") from error
        return list(_locked(document, str(file)))
    return list(_lines(file, 0))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{file} is not text in UTF-8") from error


def _lines(file: Path, depth: int) -> Iterator[Wanted]:
    if depth > _DEEPEST:
        raise Unreadable(f"{file}: files include each other")
    joined, start = "", 0
    for number, raw in enumerate([*_text(file).splitlines(), ""], start=1):
        start = start if joined else number
        line = _COMMENT.sub("", raw)
        if line.endswith("\\"):
            joined += f"{line[:-1]} "
            continue
        line, joined = (joined + line).strip(), ""
        if line:
            yield from _line(line, file, start, depth)


def _line(line: str, file: Path, number: int, depth: int) -> Iterator[Wanted]:
    included = _INCLUDE.fullmatch(line)
    if included is not None:
        # A constraint asks for nothing by itself, but what it pins is what will be installed.
        yield from _lines(file.parent / included["file"].strip(), depth + 1)
        return
    if line.startswith("-"):
        return
    options = _OPTIONS.search(line)
    text = line[: options.start()] if options else line
    where = f"{file}:{number}"
    try:
        requirement = Requirement(text.strip())
    except InvalidRequirement as error:
        # A path or an address is installed from there: no feed has a say in it.
        if "/" in text or "\\" in text or text.strip().startswith("."):
            return
        raise Unreadable(f"{where}: {text.strip()!r} is not a requirement") from error
    project = normalize(requirement.name)
    if project is not None and requirement.url is None:
        digests = frozenset(_HASH.findall(line[len(text) :].lower()))
        yield Wanted(project, requirement.specifier, where=where, digests=digests)


def _locked(document: dict[str, Any], file: str) -> Iterator[Wanted]:
    entries = document.get("packages", document.get("package"))
    if not isinstance(entries, list) or not ("lock-version" in document or "version" in document):
        raise Unreadable(f"{file} is neither a pylock.toml nor a uv.lock")
    for number, entry in enumerate(entries):
        where = f"{file}: package {number + 1}"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise Unreadable(f"{where} has no name")
        project, version = normalize(entry["name"]), entry.get("version")
        if project is None or not isinstance(version, str) or not _is_of_an_index(entry):
            continue
        sdist = entry.get("sdist")
        wheels = entry.get("wheels")
        listed = [*(wheels if isinstance(wheels, list) else ()), sdist]
        digests = frozenset(digest for digest in map(_digest, listed) if digest)
        filenames = tuple(name for name in map(_filename, listed) if name)
        try:
            pinned = SpecifierSet(f"=={version}")
        except InvalidSpecifier as error:
            raise Unreadable(f"{where}: {version!r} is not a version") from error
        yield Wanted(project, pinned, filenames, digests, where)


def _is_of_an_index(entry: dict[str, Any]) -> bool:
    source = entry.get("source")
    if isinstance(source, dict):
        return "registry" in source
    return not {"vcs", "directory", "archive"} & set(entry)


def _filename(listed: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    if not isinstance(listed, dict):
        return ""
    if isinstance(listed.get("name"), str):
        return str(listed["name"])
    place = listed.get("url") or listed.get("path") or listed.get("filename") or ""
    return PurePosixPath(unquote(urlsplit(str(place)).path)).name


def _digest(listed: Any) -> str:  # noqa: ANN401 - as above
    """Give the sha256: `hash = "sha256:…"` of uv, `hashes = { sha256 = "…" }` of the standard."""
    if not isinstance(listed, dict):
        return ""
    hashes = listed.get("hashes")
    said = f"sha256:{hashes.get('sha256')}" if isinstance(hashes, dict) else str(listed.get("hash"))
    found = _HASH.fullmatch(said.lower())
    return "" if found is None else found[1]
