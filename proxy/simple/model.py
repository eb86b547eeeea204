"""What one place says of one project, as frozen values.

The structs double as the records that the index remembers: `encode` and `decode_page`
are their only serialised form (MessagePack), and a record of another shape decodes to `None`.
"""

from __future__ import annotations

import msgspec
from packaging.utils import NormalizedName

__all__ = ["File", "NormalizedName", "Page", "ProjectStatus", "decode_page", "encode"]


class File(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One wheel or source distribution on a page.

    Source: the Simple repository API, "Project details"; PEP 700, 714, 592, 740.
    """

    filename: str
    url: str
    """Where its source finds the bytes: an absolute URL, a blob's name, a path. Only the source reads it."""
    version: str = ""
    """As normalised by PEP 440; empty where the file name does not tell."""
    hashes: dict[str, str] = {}
    """Digests in lower-case hex by lower-case algorithm name."""
    size: int | None = None
    """In bytes."""
    upload_time: str | None = None
    """UTC, `2026-01-31T10:20:30Z` or with up to six fractional digits."""
    requires_python: str | None = None
    core_metadata: bool | str = False
    """Whether core metadata is published: not, yes, or yes with this sha256 (hex)."""
    yanked: bool | str = False
    """Not, yes, or yes with this reason (never empty)."""
    provenance: str | None = None
    """Where its source has the provenance object: an absolute URL."""
    etag: str | None = None
    """The object's identity at a private source: it changes whenever the bytes do."""

    @property
    def sha256(self) -> str | None:
        """The digest the artifact is kept under, where the source publishes it."""
        return self.hashes.get("sha256")

    @property
    def is_wheel(self) -> bool:
        """Whether it can have core metadata of its own."""
        return self.filename.endswith(".whl")


class ProjectStatus(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A project's status marker. Source: PEP 792."""

    status: str = "active"
    reason: str | None = None


class Page(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one place says of one project."""

    name: NormalizedName
    files: tuple[File, ...] = ()
    versions: tuple[str, ...] = ()
    """All versions, with those of `files`; may name versions without files."""
    status: ProjectStatus | None = None
    """`None` where nothing was said, which means active."""


_encoder = msgspec.msgpack.Encoder()
_page_decoder = msgspec.msgpack.Decoder(Page)


def encode(value: msgspec.Struct) -> bytes:
    """Give the serialised form of a value of this module."""
    return _encoder.encode(value)


def decode_page(record: bytes) -> Page | None:
    """Read what `encode` wrote, or `None` where the record has another shape (an older release's)."""
    try:
        return _page_decoder.decode(record)
    except msgspec.DecodeError:
        return None
