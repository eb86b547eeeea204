"""What `wheelgate check` finds out about each source, workspace and database of advisories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Row:
    """One source, workspace or database of advisories. `None` means that it was not found out, or does not apply."""

    name: str
    kind: str
    """`simple`, `azure-blob`, `github`, `directory`, `workspace`, `advisories`, or `ledger` where that is broken."""
    reachable: bool | None = None
    authorised: bool | None = None
    formats: tuple[str, ...] = ()
    """What it speaks: `JSON`, `HTML`."""
    ranges: bool | None = None
    """Whether parts of files can be read."""
    metadata: bool | None = None
    """Whether it publishes core metadata."""
    hashes: bool | None = None
    """Whether it publishes digests."""
    latency_ms: float | None = None
    problems: tuple[str, ...] = ()
    """What is wrong, each as one sentence; without any, the row is good."""
    remedies: tuple[str, ...] = ()
    """What to change, in the order of the problems."""
    warnings: tuple[str, ...] = ()
    """What works, but worse than it could."""
    notes: tuple[str, ...] = ()
    """What else is known: where the host is, whose credential it is and until when."""

    @property
    def is_good(self) -> bool:
        """Whether the source can be used."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Report:
    """All rows of one check."""

    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()
    """What is of no single source."""

    @property
    def exit_code(self) -> int:
        """0: all good; 1: a source fails."""
        return 0 if all(row.is_good for row in self.rows) else 1

    def as_json(self) -> bytes:
        """Give it for `wheelgate check --json`: the rows with the names of their fields."""
        rows: Any = msgspec.to_builtins(self.rows)
        return msgspec.json.encode({"good": self.exit_code == 0, "sources": rows, "warnings": self.warnings})
