"""What the server's log says: every line from WARNING on, and whatever is not a line of its own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_LOUD = frozenset({"warning", "error", "critical"})
_GREETING = ("Wheelgate serves", "  feed ", "  pip install ")
"""What it says to people when it starts."""
_MOST_BYTES = 1 << 28
"""How much is read at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log that somebody should read."""

    at: float
    level: str
    event: str
    request_id: str
    filename: str
    text: str

    @property
    def is_traceback(self) -> bool:
        """Whether it tells of an error that nobody expected."""
        return '"exception":' in self.text or self.level == "unknown"


class Journal:
    """Reads a log as it grows."""

    def __init__(self, file: Path) -> None:
        """Read `file` from its beginning."""
        self._file = file
        self._position = 0
        self.lines: list[Line] = []
        self.aborted: Counter[str] = Counter()
        """Answers that were broken off, by route."""

    def read(self) -> None:
        """Read what has come since."""
        with self._file.open("rb") as log:
            log.seek(self._position)
            read = log.read(_MOST_BYTES)
        whole = read[: read.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            self._take(line)

    def explains(self, request_id: str) -> Line | None:
        """Give the line that tells of a request."""
        return next((line for line in self.lines if request_id and line.request_id == request_id), None)

    def tells_of(self, filename: str, at: float, *, within: float = 60.0) -> Line | None:
        """Give a line of that time that tells of a file."""
        return next(
            (line for line in self.lines if filename and line.filename == filename and abs(line.at - at) < within),
            None,
        )

    def _take(self, line: bytes) -> None:
        if b'"event":"request"' in line and b'"aborted"' not in line:
            return
        text = line.decode(errors="replace")
        try:
            said = json.loads(text)
            level, event = said["level"], said["event"]
        except (ValueError, KeyError, TypeError):
            if text.strip() and not text.startswith(_GREETING):
                self.lines.append(Line(0.0, "unknown", text[:120], "", "", text))
            return
        if event == "request":
            self.aborted[said.get("route", "")] += 1
        if level in _LOUD:
            at = datetime.fromisoformat(said["timestamp"]).timestamp() if "timestamp" in said else 0.0
            self.lines.append(Line(at, level, event, said.get("request_id", ""), said.get("filename", ""), text))
