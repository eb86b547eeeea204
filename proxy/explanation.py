"""Why a feed shows what it shows of one project: the values behind `wheelgate explain` and `/explain/`.

The structs are the JSON of the interface, key by key.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


COULD_NOT_BE_ASKED = "could not be asked"
"""How what is said of a source begins where nobody knows whether it has the project."""


class Asked(msgspec.Struct, frozen=True):
    """What one source said of the project."""

    name: str
    said: str
    """In words: how many files it has, that it does not have the project, that it could not be asked, or was not."""
    asked_at: str | None = None
    """When it answered (`2026-01-31T10:20:30Z`); `None` where it was not asked."""
    age_seconds: float | None = None
    """How old that answer is."""


class Explained(msgspec.Struct, frozen=True):
    """What becomes of one file, and why."""

    filename: str
    version: str
    source: str
    served: bool
    rule: str | None = None
    """The key of the rule that decided, in the configuration; `None` where none had a say."""
    reason: str | None = None
    changes_at: str | None = None
    """When the verdict turns by itself (`2026-01-31T10:20:30Z`)."""


class Explanation(msgspec.Struct, frozen=True):
    """Who owns a project in a feed, why, what every source said, and what becomes of each file."""

    project: str
    feed: str
    owner: str | None
    """The source that owns the project; `None` where none has it. Several are joined by commas."""
    why: str
    sources: tuple[Asked, ...] = ()
    files: tuple[Explained, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether any source has the project."""
        return self.owner is not None

    @property
    def is_absent(self) -> bool:
        """Whether every source that may own the project answered that it does not have it."""
        return not self.is_known and not any(source.said.startswith(COULD_NOT_BE_ASKED) for source in self.sources)

    def as_json(self) -> bytes:
        """Give it as the body of `/explain/` and the output of `wheelgate explain --json`."""
        return msgspec.json.encode(self)


def moment(seconds: float) -> str:
    """Give a time in seconds since the epoch as these values hold it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
