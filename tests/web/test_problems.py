"""Every error has its status, and a body that says what to do and nothing that nobody should know."""

from __future__ import annotations

import json

import pytest

from proxy.errors import (
    ArtifactWrong,
    FileAbsent,
    FileGone,
    Hidden,
    NotAcceptable,
    ProjectAbsent,
    SourceNonsense,
    SourceRefused,
    SourceUnavailable,
    WheelgateError,
)
from proxy.web.problems import respond


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ProjectAbsent("bar", "default", ("public",)), 404),
        (ProjectAbsent("bar", "default", ()), 404),
        (FileAbsent("bar", "bar-1.0.tar.gz", "default"), 404),
        (FileGone("public", "bar-1.0.tar.gz"), 404),
        (Hidden("bar", rule="deny", reason="so it is"), 403),
        (NotAcceptable("nothing"), 406),
        (SourceUnavailable("public", "down"), 503),
        (SourceRefused("public", "no"), 502),
        (SourceNonsense("public", "what"), 502),
        (ArtifactWrong("public", "bar-1.0.tar.gz", expected="sha256:a", found="sha256:b"), 502),
        (WheelgateError("anything"), 500),
    ],
)
def test_an_error_has_its_status_and_problem_details(error: WheelgateError, status: int) -> None:
    response = respond(error, "id-1")

    assert response.status == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "max-age=0"
    assert ("Retry-After" in response.headers) == (status == 503)
    assert isinstance(response.body, bytes)
    problem = json.loads(response.body)
    assert problem["status"] == status
    assert problem["detail"].startswith(str(error))
    assert problem["request_id"] == "id-1"
    assert problem.get("remedy", "") == error.remedy


@pytest.mark.parametrize(("said", "given"), [(None, "5"), (0.0, "1"), (0.4, "1"), (59.6, "60"), (1e9, "3600")])
def test_the_time_to_wait_is_whole_seconds_within_an_hour(said: float | None, given: str) -> None:
    response = respond(SourceUnavailable("public", "down", retry_after=said), "id-1")

    assert response.headers["Retry-After"] == given


def test_a_refusal_says_the_rule_and_the_remedy_wherever_a_client_shows_something() -> None:
    """pip shows the reason phrase of the status line, uv the detail, a person with curl all of it."""
    response = respond(Hidden("bar", rule="deny", reason="so it is", remedy="ask Ann"), "id-1")

    assert response.reason == "Forbidden: deny: so it is; what to do: ask Ann"
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["detail"] == "bar is hidden: so it is; what to do: ask Ann"


def test_a_reason_in_a_header_is_one_line_of_ascii() -> None:
    response = respond(Hidden("bar", rule="deny", reason="zwei\r\nZeilen für alle" + "x" * 1000), "id-1")

    reason = response.headers["Wheelgate-Reason"]
    assert reason.startswith("deny: zwei??Zeilen f?r alle")
    assert len(reason) == 500
