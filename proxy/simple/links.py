"""Where a page's links lead: to this server, under the names that lock files keep for years."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.simple.filename import quote
from proxy.simple.model import NormalizedName

__all__ = ["Links", "flat_href"]


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one project's page in one feed.

    Relative ones hold behind any host name, path prefix and TLS front end. They carry no query: pip appends `.metadata`
    to the whole URL, and lock files would record it.
    """

    project: NormalizedName
    public_url: str | None = None
    """The server's own name (`https://pypi.corp.example/`), where it knows it."""
    feed: str | None = None
    """`None` for the feed that is served without a prefix."""

    @property
    def files(self) -> str:
        """What file names are appended to, on the project's page."""
        return f"../../files/{self.project}/"

    @property
    def sidecars(self) -> str:
        """What the names of provenance objects are appended to: absolute where that can be.

        Source: PEP 740, which wants a fully qualified URL.
        """
        if self.public_url is None:
            return self.files
        prefix = f"{self.feed}/" if self.feed else ""
        return f"{self.public_url.rstrip('/')}/{prefix}files/{self.project}/"

    def file(self, filename: str) -> str:
        """Give the link to a file, as the project's page has it."""
        return self.files + quote(filename)

    def provenance(self, filename: str) -> str:
        """Give the link to a file's provenance object."""
        return f"{self.sidecars}{quote(filename)}.provenance"


def flat_href(project: NormalizedName, filename: str) -> str:
    """Give the link to a file, as the flat page of all files (`/links/`) has it."""
    return f"../files/{project}/{quote(filename)}"
