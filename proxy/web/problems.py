"""Errors as answers: the one table from our errors to statuses, and their bodies.

Source: RFC 9457 (problem details), RFC 9110 §15 and §10.2.3 (Retry-After).
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

from proxy.errors import (
    ArtifactWrong,
    FileAbsent,
    FileGone,
    Hidden,
    LedgerUnreadable,
    NotAcceptable,
    ProjectAbsent,
    SourceError,
    SourceUnavailable,
    WheelgateError,
)

RETRY_AFTER = 5.0
"""Seconds after which asking again is welcome, where the source names no time."""
_LONGEST_RETRY_AFTER = 3600.0

_STATUSES: tuple[tuple[type[WheelgateError], HTTPStatus], ...] = (
    (ProjectAbsent, HTTPStatus.NOT_FOUND),
    (FileAbsent, HTTPStatus.NOT_FOUND),
    (FileGone, HTTPStatus.NOT_FOUND),
    (Hidden, HTTPStatus.FORBIDDEN),
    (NotAcceptable, HTTPStatus.NOT_ACCEPTABLE),
    (LedgerUnreadable, HTTPStatus.SERVICE_UNAVAILABLE),
    (SourceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (SourceError, HTTPStatus.BAD_GATEWAY),
    (ArtifactWrong, HTTPStatus.BAD_GATEWAY),
)


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """The body of an error. Source: RFC 9457 §3.1; `source`, `rule`, `remedy` and `explain` are our own members."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    remedy: str = ""
    source: str = ""
    rule: str = ""
    explain: str = ""
    """Where the whole explanation is, relative to what was asked for."""
    request_id: str = ""


def status_of(error: WheelgateError) -> HTTPStatus:
    """Give the status that an error is answered with."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def respond(error: WheelgateError, request_id: str, *, explain: str = "") -> web.Response:
    """Give the answer for an error: what happened, which source or rule, and the remedy; never a secret.

    `explain` is where a refusal is explained in full.
    """
    status = status_of(error)
    details = ProblemDetails(
        title=status.phrase,
        status=status.value,
        detail=f"{error}; what to do: {error.remedy}" if isinstance(error, Hidden) else str(error),
        remedy=error.remedy,
        source=getattr(error, "source", ""),
        rule=getattr(error, "rule", ""),
        explain=explain if isinstance(error, Hidden) else "",
        request_id=request_id,
    )
    # Without one, caches on the way may guess a lifetime for a 404. Source: RFC 9110 §15.1.
    headers = {"Cache-Control": "max-age=0"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        told = getattr(error, "retry_after", None)
        wait = RETRY_AFTER if told is None else told
        headers["Retry-After"] = str(max(1, round(min(wait, _LONGEST_RETRY_AFTER))))
    if isinstance(error, Hidden):
        headers["Wheelgate-Reason"] = _one_line(f"{error.rule}: {error.reason}", 500, error.remedy)
    if isinstance(error, NotAcceptable | ProjectAbsent):
        headers["Vary"] = "Accept, Accept-Encoding"
    response = problem(status, details, headers)
    if isinstance(error, Hidden):
        # All that pip shows of a refusal is the status line; uv shows title and detail.
        response.set_status(status, f"{status.phrase}: {headers['Wheelgate-Reason']}")
    return response


def _one_line(reason: str, limit: int, remedy: str) -> str:
    """Give reason and remedy as a header holds them: no line breaks and, to be read by everybody, only ASCII.

    A remedy is never cut off by a long reason.
    """
    end = f"; what to do: {remedy}"
    room = limit - len(end)
    told = reason if len(reason) <= room else f"{reason[: room - 3]}..."
    return "".join(sign if " " <= sign <= "~" else "?" for sign in told + end)


def problem(status: HTTPStatus, details: ProblemDetails, headers: dict[str, str] | None = None) -> web.Response:
    """Give an answer with problem details."""
    return web.Response(
        status=status.value,
        body=msgspec.json.format(msgspec.json.encode(details), indent=2) + b"\n",
        headers={"Content-Type": "application/problem+json", **(headers or {})},
    )


def plain(status: HTTPStatus, detail: str, remedy: str, request_id: str, **headers: str) -> web.Response:
    """Give the answer for what is no error of ours: a wrong method, an unknown path."""
    details = ProblemDetails(
        title=status.phrase, status=status.value, detail=detail, remedy=remedy, request_id=request_id
    )
    return problem(status, details, {name.replace("_", "-"): value for name, value in headers.items()})
