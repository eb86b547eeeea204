"""Logs: one line for each event on stderr, for people on a terminal and for machines elsewhere.

No line holds a secret, whoever wrote it: a processor that every event passes, and every exception's
text too, takes out what could be one. It is the second line of defence; `Secret` is the first.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit, urlunsplit

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Form = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]

_HIDDEN = "…"
_SECRET_FIELDS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "password", "token", "sas"})
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>()\[\]{}|\\^`,;]+", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(sig|AccountKey|SharedAccessSignature|access_token|client_secret|password)(=|%3D)[^&\s\"';,]+", re.IGNORECASE
)
_HEADER = re.compile(
    r"(authorization[\"']?\s*[:=]\s*(?:b?[\"'])?)(?:(?:basic|bearer|token|sharedkey)\s+)?[^\s\"',;}]+", re.IGNORECASE
)
# A word with a digit, a capital or padding in it: "Basic authentication" is prose, "Basic OlBBVA==" is none.
_SCHEME = re.compile(r"\b(Basic|Bearer|SharedKey)\s+(?=[^\s\"',;]*[0-9A-Z=])[A-Za-z0-9._~+/=:-]{4,}")


def redact(url: str) -> str:
    """Give an address without what may be secret in it: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _HIDDEN
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) + (f"?{_HIDDEN}" if parts.query else "")


def scrub(text: str) -> str:
    """Give any text without the secrets that are known by their form."""
    if "://" in text:
        text = _URL.sub(lambda found: redact(found[0]), text)
    if "=" in text or "%3" in text:
        text = _NAMED.sub(rf"\1\2{_HIDDEN}", text)
    # The scheme alone comes last: after it, the header's own form could not be told any more.
    if "uthorization" in text or "UTHORIZATION" in text:
        text = _HEADER.sub(rf"\1{_HIDDEN}", text)
    return _SCHEME.sub(rf"\1 {_HIDDEN}", text)


def set_up(level: Level = "info", form: Form = "auto", stream: TextIO | None = None) -> None:
    """Let all logs of this process, those of libraries too, go to `stream` (stderr) from `level` on."""
    out = stream or sys.stderr
    in_colour = out.isatty()
    renderer: Processor
    if form == "json" or (form == "auto" and not in_colour):
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False, separators=(",", ":"))
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=in_colour)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _scrub_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    # What libraries say is only of interest when something is wrong.
    logging.basicConfig(handlers=[_Foreign()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


class _Foreign(logging.Handler):
    """Hands on what libraries log with the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log `record` as one of our own."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        log = structlog.get_logger()
        log.log(max(record.levelno, logging.WARNING), message, logger=record.name, exc_info=record.exc_info)


def _scrub_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # What is the same in every line comes first, so that a person finds her way in JSON too.
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return {key: _scrub_field(key, value) for key, value in {**first, **event}.items()}


def _scrub_field(key: str, value: object) -> Any:  # noqa: ANN401 - of the value's own type, or text
    if key.lower() in _SECRET_FIELDS:
        return _HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return scrub(value)
        case Mapping():
            return {str(inner): _scrub_field(str(inner), each) for inner, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_scrub_field(key, each) for each in value]
    # Addresses, paths and errors: the renderer would show their repr, unseen by the lines above.
    return scrub(str(value))
