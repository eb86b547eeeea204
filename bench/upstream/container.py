"""A container of 100,000 wheels, as the storage service lists and serves it. Source: Azure Storage, "List Blobs"."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

from bench.upstream.wheels import wheel

BLOBS = 100_000
VERSIONS = 10
_PAGE = 5000
_PROPERTIES = (
    "<Creation-Time>Sat, 31 Jan 2026 10:20:30 GMT</Creation-Time><Last-Modified>Sat, 31 Jan 2026 10:20:30 GMT"
    "</Last-Modified><Etag>0x8D{number:012X}</Etag><Content-Length>{size}</Content-Length><Content-Type>"
    "application/octet-stream</Content-Type><Content-MD5 /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
    "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted>"
)


def project(number: int) -> str:
    """Give the name of one of the projects."""
    return f"acme-part-{number:05d}"


@cache
def names() -> list[str]:
    """Give the names of all blobs, sorted."""
    return [
        f"acme_part_{number:05d}-1.{version}-py3-none-any.whl"
        for number in range(BLOBS // VERSIONS)
        for version in range(VERSIONS)
    ]


def list_blobs(*, prefix: str, marker: str, most: int) -> bytes:
    """Give one page of the list, beginning behind `marker`. There are no folders, so no delimiter matters."""
    start = int(marker) if marker else bisect_left(names(), prefix)
    end = bisect_left(names(), prefix + "\U0010ffff") if prefix else BLOBS
    return _page(start, min(end, start + min(most, _PAGE)), end)


@cache
def _page(start: int, stop: int, end: int) -> bytes:
    size = len(blob(names()[0])[0])
    entries = "".join(
        f"<Blob><Name>{names()[number]}</Name><Properties>{_PROPERTIES.format(number=number, size=size)}</Properties>"
        "<OrMetadata /></Blob>"
        for number in range(start, stop)
    )
    marker = f"<NextMarker>{stop}</NextMarker>" if stop < end else "<NextMarker />"
    head = '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="wheels">'
    return f"{head}<Blobs>{entries}</Blobs>{marker}</EnumerationResults>".encode()


@cache
def blob(name: str) -> tuple[bytes, str]:
    """Give a blob and its ETag. Raises: ValueError."""
    number = bisect_left(names(), name)
    if number >= BLOBS or names()[number] != name:
        raise ValueError(name)
    stem, version, *_ = name.split("-")
    return wheel(stem, version)[0], f'"0x8D{number:012X}"'
