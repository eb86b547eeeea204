"""What a fake index lists, and how it writes that down: project pages and the project list, HTML and JSON."""

from __future__ import annotations

import hashlib
import html
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from tests.fakes.wheels import build_sdist, build_wheel

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"

Links = Literal["relative", "absolute", "root", "protocol", "base"]


@dataclass
class FakeFile:
    """One file of the fake: what it is, and what the page says of it."""

    filename: str
    content: bytes
    project: str
    version: str
    requires_python: str | None = None
    yanked: bool | str = False
    upload_time: str | None = None
    metadata: bytes | None = None
    """Published beside the file, and advertised on the page."""
    provenance: bytes | None = None
    hashes: Sequence[str] = ("sha256",)
    url: str | None = None
    """What the page links instead of the file of this server."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def digests(self) -> dict[str, str]:
        return {name: hashlib.new(name, self.content).hexdigest() for name in self.hashes}


def make_file(
    filename: str,
    *,
    content: bytes | None = None,
    metadata: bool | bytes = False,
    requires_python: str | None = None,
    requires: Sequence[str] = (),
    size_padding: int = 0,
    **said: Any,
) -> FakeFile:
    """Make a file of a real wheel or sdist, or of `content`; `metadata=True` publishes the wheel's own."""
    if filename.endswith(".whl"):
        project, parsed, _, _ = parse_wheel_filename(filename)
    else:
        project, parsed = parse_sdist_filename(filename)
    version = str(parsed)
    if content is None and filename.endswith(".whl"):
        content = build_wheel(
            project, version, requires_python=requires_python, requires=requires, size_padding=size_padding
        )
    elif content is None:
        content = build_sdist(project, version, requires_python=requires_python)
    if metadata is True:
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = wheel.read(name)
    return FakeFile(
        filename=filename,
        content=content,
        project=project,
        version=version,
        requires_python=requires_python,
        metadata=metadata or None,
        **said,
    )


def link_to(filename: str, style: Links, *, origin: str, page: str) -> str:
    """Give the link to a file below `/files/`, for a page at the path `page`."""
    path = f"/files/{quote(filename)}"
    return {
        "relative": "../" * (page.count("/") - 1) + path[1:],
        "absolute": f"{origin}{path}",
        "root": path,
        "protocol": f"//{origin.partition('//')[2]}{path}",
        "base": quote(filename),
    }[style]


def render_json(project: str, files: Sequence[FakeFile], urls: Sequence[str], status: tuple[str, str | None]) -> bytes:
    """Give a project page of API 1.4."""
    marker = {"status": status[0]} | ({"reason": status[1]} if status[1] else {})
    page = {
        "meta": {"api-version": "1.4"},
        "name": project,
        "project-status": marker,
        "versions": sorted({file.version for file in files}),
        "files": [_json_file(file, url) for file, url in zip(files, urls, strict=True)],
    }
    return json.dumps(page).encode()


def render_html(project: str, files: Sequence[FakeFile], urls: Sequence[str], *, base: str | None = None) -> bytes:
    """Give a project page as HTML, with `<base href>` where `base` is given."""
    lines = ["<!DOCTYPE html>", "<html><head>", '<meta name="pypi:repository-version" content="1.4">']
    if base is not None:
        lines.append(f'<base href="{html.escape(base)}">')
    lines += [f"<title>Links for {project}</title></head><body>", f"<h1>Links for {project}</h1>"]
    lines += [_anchor(file, url) for file, url in zip(files, urls, strict=True)]
    return "\n".join([*lines, "</body></html>"]).encode()


def render_names(names: Iterable[str], *, as_json: bool) -> bytes:
    """Give the project list."""
    if as_json:
        return json.dumps({"meta": {"api-version": "1.4"}, "projects": [{"name": name} for name in names]}).encode()
    anchors = "\n".join(f'<a href="{quote(canonicalize_name(name))}/">{html.escape(name)}</a>' for name in names)
    return f"<!DOCTYPE html>\n<html><body>\n{anchors}\n</body></html>".encode()


def _json_file(file: FakeFile, url: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": file.filename,
        "url": url,
        "hashes": file.digests(),
        "size": len(file.content),
        "yanked": file.yanked,
    }
    if file.requires_python is not None:
        entry["requires-python"] = file.requires_python
    if file.upload_time is not None:
        entry["upload-time"] = file.upload_time
    if file.metadata is not None:
        entry["core-metadata"] = {"sha256": hashlib.sha256(file.metadata).hexdigest()}
    if file.provenance is not None:
        entry["provenance"] = f"{url}.provenance"
    return entry


def _anchor(file: FakeFile, url: str) -> str:
    digests = file.digests()
    fragment = next((f"#{name}={value}" for name, value in digests.items()), "")
    said = [f'href="{html.escape(url + fragment)}"']
    if file.requires_python is not None:
        said.append(f'data-requires-python="{html.escape(file.requires_python)}"')
    if file.metadata is not None:
        said.append(f'data-core-metadata="sha256={hashlib.sha256(file.metadata).hexdigest()}"')
    if file.provenance is not None:
        said.append(f'data-provenance="{html.escape(url)}.provenance"')
    if file.yanked is not False:
        said.append(f'data-yanked="{html.escape(file.yanked) if isinstance(file.yanked, str) else ""}"')
    return f"<a {' '.join(said)}>{html.escape(file.filename)}</a><br/>"
