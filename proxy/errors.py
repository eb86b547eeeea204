"""Everything that can go wrong, as one tree.

    WheelgateError
    ├── ConfigurationInvalid      the configuration has mistakes; lists all of them
    ├── SourceError               a source could not be asked: never the same as "it does not have it"
    │   ├── SourceUnavailable     down, silent, throttled or switched off        -> 503
    │   ├── SourceRefused         it refuses our credential, or there is none    -> 502
    │   └── SourceNonsense        it answered, but not with what was asked for   -> 502
    ├── FileGone                  listed, but its source no longer has the bytes -> 404
    ├── ProjectAbsent             every source that may own it answered "no"     -> 404
    ├── FileAbsent                the project is there, the file is not on its page -> 404
    ├── Hidden                    a rule or the project's status hides it        -> 403
    ├── NotAcceptable             no format that the client accepts              -> 406
    ├── ArtifactWrong             the bytes are not those of the digest          -> abort
    ├── LedgerUnreadable          nobody can say whether bytes have changed      -> 503
    └── CacheUnusable             the folder of the cache cannot be written      -> the server does not start

The statuses on the right are assigned in one table, in `web/problems.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class WheelgateError(Exception):
    """The root: each leaf prints as one sentence for a person, and carries its remedy."""

    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where (`feeds.default.sources[1]`), what, and what to do."""

    path: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """Give the mistake as one line."""
        return f"{self.path}: {self.what}" + (f" ({self.remedy})" if self.remedy else "")


class ConfigurationInvalid(WheelgateError):
    """The configuration as a whole has one or more mistakes."""

    def __init__(self, problems: list[Problem], file: str = "") -> None:
        """Hold all mistakes found in `file`."""
        self.problems = problems
        self.file = file
        super().__init__("\n".join(str(problem) for problem in problems))


class SourceError(WheelgateError):
    """A source could not be asked, or gave no usable answer."""

    def __init__(self, source: str, reason: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        """Name the source, the reason in words, and the seconds after which asking again is welcome."""
        self.source = source
        self.reason = reason
        self.remedy = remedy
        self.retry_after = retry_after
        super().__init__(f"source {source}: {reason}")


class SourceUnavailable(SourceError):
    """The source is down, silent, throttling, or switched off."""


class SourceRefused(SourceError):
    """The source refuses our credential, or the credential cannot be had."""


class SourceNonsense(SourceError):
    """The source answered with something that is not what was asked for."""


class FileGone(WheelgateError):
    """A listed file is not at its source any more and is not cached here."""

    def __init__(self, source: str, filename: str) -> None:
        """Name the source that lists the file."""
        self.source = source
        self.filename = filename
        self.remedy = "the page is refreshed; if it still lists the file, tell the people who run the source"
        super().__init__(f"source {source} lists {filename} but does not have it any more")


class ProjectAbsent(WheelgateError):
    """Every source that may own the project answered that it does not have it."""

    def __init__(self, project: str, feed: str, asked: tuple[str, ...]) -> None:
        """Name the sources that were asked, in order."""
        self.project = project
        self.feed = feed
        self.asked = asked
        self.remedy = f"wheelgate explain {project} --feed {feed} says what each source answered"
        where = ", ".join(asked) if asked else "any source that may own it"
        super().__init__(f"no project {project} in feed {feed}: not in {where}")


class FileAbsent(WheelgateError):
    """The project is known, but no such file is on its page."""

    def __init__(self, project: str, filename: str, feed: str) -> None:
        """Name the file as the client asked for it."""
        self.project = project
        self.filename = filename
        self.feed = feed
        self.remedy = f"wheelgate explain {project} --feed {feed} lists the files there are"
        super().__init__(f"no file {filename} on the page of {project} in feed {feed}")


class Hidden(WheelgateError):
    """A rule of the feed, or the project's status, hides a project or a file."""

    def __init__(self, what: str, *, rule: str, reason: str, remedy: str = "") -> None:
        """Name what is hidden, the rule's key in the configuration and the reason in words."""
        self.what = what
        self.rule = rule
        self.reason = reason
        self.remedy = remedy or "ask the people who run this index for an exception"
        super().__init__(f"{what} is hidden: {reason}")


class NotAcceptable(WheelgateError):
    """No representation that the client accepts."""

    remedy = "accept text/html, application/vnd.pypi.simple.v1+json or application/vnd.pypi.simple.v1+html"


class ArtifactWrong(WheelgateError):
    """The bytes that a source sent do not have the digest or the length that it listed."""

    def __init__(self, source: str, filename: str, *, expected: str, found: str) -> None:
        """Give both digests (or lengths) as `algorithm:value`."""
        self.source = source
        self.filename = filename
        self.expected = expected
        self.found = found
        self.remedy = "nothing was kept; tell the people who run the source that listing and bytes disagree"
        super().__init__(f"source {source} sent {filename} with {found} where {expected} was listed")


class CacheUnusable(WheelgateError):
    """The folder that artifacts are kept in cannot be made or written."""

    def __init__(self, directory: str, reason: str) -> None:
        """Name the folder and what the system said."""
        self.remedy = "name a folder on a local disk that the server's user may write, as cache.directory"
        super().__init__(f"the cache cannot be in {directory}: {reason}")


class LedgerUnreadable(WheelgateError):
    """The pin ledger cannot be read, so nobody can say whether a file is what it was."""

    def __init__(self, file: str, reason: str) -> None:
        """Name the ledger and what the database said."""
        self.remedy = "restore it, or move it away to begin anew (cache.pins), or tell the people who run this index"
        super().__init__(f"the pin ledger {file} cannot be read: {reason}")


def kept(error: E) -> E:
    """Give an error as one may keep it, and raise it to many: without a memory of where it was raised.

    A traceback holds on to every frame it came through, with the requests, connections and open files in them.
    """
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    return copy
