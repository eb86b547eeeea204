"""Why a feed shows what it shows of one project: the values behind `wheelgate explain` and `/explain/`.

The structs are the JSON of the interface, key by key. What only sometimes has something to say is left out where it
has not; the other keys are always there.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

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
    remedy: str | UnsetType = UNSET
    """What somebody who wants a hidden file can do."""
    upload_time: str | UnsetType = UNSET
    """When its source says that a hidden file was uploaded."""
    advisories: tuple[str, ...] | UnsetType = UNSET
    """The advisories that hide it, or that are ignored for it."""


class Explanation(msgspec.Struct, frozen=True):
    """Who owns a project in a feed, why, what every source said, and what becomes of each file."""

    project: str
    feed: str
    owner: str | None
    """The source that owns the project; `None` where none has it. Several are joined by commas."""
    why: str
    sources: tuple[Asked, ...] = ()
    files: tuple[Explained, ...] = ()
    answer: str | UnsetType = UNSET
    """Where versions were asked for: what would serve them, or what hides them."""
    warnings: tuple[str, ...] | UnsetType = UNSET
    """What is wrong with the rules themselves: they, or their database, could not be read again."""

    @property
    def is_known(self) -> bool:
        """Whether any source has the project."""
        return self.owner is not None

    @property
    def is_absent(self) -> bool:
        """Whether every source that may own the project answered that it does not have it."""
        return not self.is_known and not any(source.said.startswith(COULD_NOT_BE_ASKED) for source in self.sources)

    @property
    def whose(self) -> str:
        """Who owns the project, in words."""
        if self.is_known:
            return f"owned by {self.owner}"
        return "owned by no source" if self.is_absent else "nobody can say now whose it is"

    def as_text(self) -> str:
        """Give it as a person reads it in a browser or a terminal."""
        lines = [f"{self.project} in feed {self.feed}: {self.whose} ({self.why})"]
        lines += [] if self.answer is UNSET else ["", str(self.answer)]
        lines += [] if self.warnings is UNSET else ["", *(f"warning: {warning}" for warning in self.warnings)]
        lines += ["", "sources, in the order in which they are asked:"]
        for source in self.sources:
            lines.append(f"  {source.name}: {source.said}" + (f", at {source.asked_at}" if source.asked_at else ""))
        served = sum(file.served for file in self.files)
        lines += ["", f"files: {served} served, {len(self.files) - served} hidden"] if self.files else []
        for file in self.files:
            lines.append(f"  {'served' if file.served else 'hidden'}  {file.filename}  ({file.source})")
            if file.rule:
                until = f", until {file.changes_at}" if file.changes_at else ""
                lines.append(f"          {file.rule}{until}: {file.reason}")
            if file.remedy is not UNSET:
                lines.append(f"          what to do: {file.remedy}")
        return "\n".join(lines) + "\n"

    def as_json(self) -> bytes:
        """Give it as the body of `/explain/` and the output of `wheelgate explain --json`."""
        return msgspec.json.encode(self)


def moment(seconds: float) -> str:
    """Give a time in seconds since the epoch as these values hold it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
