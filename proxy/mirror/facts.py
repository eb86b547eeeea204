"""Facts: what the bytes of a file have told, and how a page is completed with them."""

from __future__ import annotations

import msgspec

from proxy.simple.model import File, Page


class Facts(msgspec.Struct, array_like=True, gc=False):
    """What the bytes of one file have told."""

    identity: str
    """The digest or, at a private source, the object's etag: facts of other bytes do not count."""
    sha256: str | None = None
    size: int | None = None
    metadata: str | None = None
    """The sha256 of its METADATA, which the index has under `metadata_key`."""
    requires_python: str | None = None
    unreadable: str | None = None
    """Why it has no core metadata that could be read."""


class Seen:
    """A page that was completed before, and what it became."""

    __slots__ = ("complete", "facts", "given", "page", "stamp")

    def __init__(self, given: Page, facts: dict[str, Facts]) -> None:
        """Begin with what the source gave, and what is known of its files."""
        self.given = given
        self.facts = facts
        self.stamp = -1
        self.page = given
        self.complete = False


_decoder = msgspec.msgpack.Decoder(dict[str, Facts])
_encoder = msgspec.msgpack.Encoder()


def encode(facts: dict[str, Facts]) -> bytes:
    """Give the record of what the files of a page have told, by file name."""
    return _encoder.encode(facts)


def decode(record: bytes | None) -> dict[str, Facts]:
    """Read what `encode` wrote; nothing is known where there is no record, or one of another shape."""
    try:
        return {} if record is None else _decoder.decode(record)
    except msgspec.DecodeError:
        return {}


def identity_of(file: File) -> str:
    """Give what changes whenever the bytes of a file do."""
    return file.etag or file.sha256 or next(iter(file.hashes.values()), "") or file.url


def is_of(fact: Facts, file: File) -> bool:
    """Say whether a fact is of the bytes that are listed now."""
    # A digest that is written back gives an object another etag, and leaves its bytes as they are.
    return fact.identity == identity_of(file) or (file.sha256 is not None and fact.sha256 == file.sha256)


def fact_of(facts: dict[str, Facts], file: File) -> Facts:
    """Give what is known of these very bytes; `file` may have been completed with it already."""
    fact = facts.get(file.filename)
    return fact if fact is not None and is_of(fact, file) else Facts(identity_of(file))


def lacks_metadata(file: File, fact: Facts | None) -> bool:
    """Say whether the core metadata of a file is still to be read."""
    if not file.is_wheel or file.core_metadata is not False:
        return False
    return fact is None or (fact.metadata is None and fact.unreadable is None)


def completed(page: Page, facts: dict[str, Facts], *, digests: bool) -> Page:
    """Give the page with the facts filled in where the source says nothing itself.

    Without `digests`, those are left to the pin ledger: an upstream that lists none is held to what was served.
    """
    if not facts:
        return page
    files = []
    for file in page.files:
        fact = facts.get(file.filename)
        if fact is None or not is_of(fact, file):
            files.append(file)
            continue
        files.append(
            msgspec.structs.replace(
                file,
                hashes={**file.hashes, "sha256": fact.sha256}
                if digests and fact.sha256 and not file.sha256
                else file.hashes,
                size=fact.size if file.size is None else file.size,
                requires_python=file.requires_python or fact.requires_python,
                core_metadata=False if fact.unreadable else file.core_metadata or fact.metadata or False,
            )
        )
    return msgspec.structs.replace(page, files=tuple(files))
