"""Wheels in a container of an Azure storage account.

Listing is in `azure_sweep.py`, looking at one project in `azure_look.py`, what names mean in `azure_layouts.py`, the
service's protocol in `azure_account.py`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from proxy.errors import FileGone, SourceNonsense
from proxy.simple.model import File, NormalizedName
from proxy.sources.azure_account import Account
from proxy.sources.azure_layouts import as_folder
from proxy.sources.azure_look import find
from proxy.sources.azure_sweep import Sweep, read_token
from proxy.sources.base import Body, Listing

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,19})-\d{1,19}|\*)/(?:(\d{1,19})|\*)")
_METADATA = "x-ms-meta-"
_NO_BYTES: tuple[bytes, ...] = ()


class AzureBlob:
    """A container, or a folder of one, as a listed source."""

    def __init__(self, account: Account, *, prefix: str = "") -> None:
        """List what is in the folder `prefix` of the account's container."""
        self.name = account.name
        self.account = account
        self._root = as_folder(prefix)
        self._sweep = Sweep(account, self._root)

    async def list(self, known: Listing | None) -> Listing:
        """Give all files now; `known` itself where nothing changed."""
        return await self._sweep.run(known)

    async def look(self, project: NormalizedName, known: Listing | None) -> tuple[File, ...] | None:
        """Give one project's files now; `None` where that takes a listing."""
        before = read_token(known)
        return await find(self.account, self._root, project, before.shape if before else None)

    @asynccontextmanager
    async def open(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[Body]:
        """Open the bytes of `file`, and of no other blob that takes its name."""
        # The service knows no suffix ranges. It has none of an empty file either, and lists no such file here.
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        if file.etag:
            headers["If-Match"] = f'"{file.etag}"'
        expect = (_OK, _PARTIAL, _UNSATISFIABLE) if "Range" in headers else (_OK,)
        async with self.account.request("GET", file.url, headers=headers, expect=expect, bulk=True) as response:
            first, size = _extent(response.status, response.headers)
            etag = response.headers.get("ETag", "").strip('"') or None
            is_past_end = response.status == _UNSATISFIABLE
            if (file.etag and etag and etag != file.etag) or (is_past_end and size not in {None, start}):
                raise FileGone(self.name, file.filename)
            if first not in {0, start} and not is_past_end:
                raise SourceNonsense(
                    self.name,
                    f"it sent another part of {file.filename} than was asked for",
                    remedy="check that no proxy on the way changes ranges",
                )
            chunks = _nothing() if is_past_end else self.account.stream(response)
            yield Body(chunks, start if is_past_end else first or 0, size, file.etag or etag)

    async def read_metadata(self, file: File) -> bytes | None:  # noqa: ARG002 - the protocol's
        """Give nothing: core metadata is read out of the wheel, which cannot disagree with itself."""
        return None

    async def read_provenance(self, file: File) -> bytes | None:  # noqa: ARG002 - the protocol's
        """Give nothing: containers have no provenance objects."""
        return None

    async def record_digest(self, file: File, sha256: str) -> File:
        """Write a computed digest into the blob's metadata, and give the file as it is listed from now on.

        The other metadata stays, and the time of the upload, which this changes, is kept with it. The blob's
        identity changes as well.

        Raises: FileGone where the blob is another one by now; SourceError, also where our role may only read.
        """
        match = {"If-Match": f'"{file.etag}"'} if file.etag else {}
        async with self.account.request("HEAD", file.url, headers=match) as response:
            kept = {name: value for name, value in response.headers.items() if name.lower().startswith(_METADATA)}
        # Names keep their case and are compared without it.
        names = {name.lower(): name for name in kept}
        kept[names.get(f"{_METADATA}sha256", f"{_METADATA}sha256")] = sha256
        if file.upload_time:
            kept.setdefault(names.get(f"{_METADATA}upload_time", f"{_METADATA}upload_time"), file.upload_time)
        # The HTTP library would add a type of its own, which a signature has to cover.
        headers = {**kept, **match, "Content-Type": "application/octet-stream"}
        async with self.account.request("PUT", file.url, query={"comp": "metadata"}, headers=headers) as response:
            etag = response.headers.get("ETag", "").strip('"') or None
        return msgspec.structs.replace(file, hashes={**file.hashes, "sha256": sha256}, etag=etag)


async def _nothing() -> AsyncIterator[bytes]:
    """Give no bytes: there are none behind the last one."""
    for chunk in _NO_BYTES:
        yield chunk


def _extent(status: int, headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Give the first byte's offset and the whole size; `None`: not told. Source: RFC 9110 §14.4."""
    if status == _OK:
        length = headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    said = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if said is None:
        return None, None
    return int(said[1]) if said[1] else None, int(said[2]) if said[2] else None
