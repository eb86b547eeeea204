from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from proxy.secret import Secret
from proxy.telemetry.logs import redact, scrub, set_up


class Lines(io.StringIO):
    """Where logs go in these tests."""

    def last(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.getvalue().splitlines()[-1])
        return event


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    out = Lines()
    set_up("info", "json", out)
    yield out
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:p@ss:w@feed.example/simple/", "https://feed.example/simple/"),
        ("https://:pat@feed.example:8443/x", "https://feed.example:8443/x"),
        ("https://a.blob.example/wheels/x.whl?sv=1&sig=abc#f", "https://a.blob.example/wheels/x.whl?…"),
        ("https://feed.example/_packaging/feed@Release/pypi/", "https://feed.example/_packaging/feed@Release/pypi/"),
        ("https://[broken", "…"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GET https://user:hunter2@feed.example/simple/ failed",
        "see (https://feed.example/x?sv=1&sig=hunter2&se=2), please",
        "sv=2024-11-04&sig=hunter2",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2==;EndpointSuffix=x",
        "Authorization: Basic hunter2=",
        "authorization: Bearer hunter2.hunter2.hunter2",
        "{'Authorization': 'Bearer hunter2'}",
        "<CIMultiDictProxy('Authorization': 'token hunter2')>",
        "the token Bearer hunter2A was refused",
        "git+https://hunter2@host.example/x",
    ],
)
def test_no_text_keeps_a_secret_of_a_known_form(text: str) -> None:
    assert "hunter2" not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "Basic authentication is needed",
        "mail me@corp.example",
        "3 files of acme-sdk==1.0+cpu",
        "https://feed.example/simple/numpy/ answers again",
        "C:\\wheels\\a.whl, /srv/wheels/a.whl",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert scrub(text) == text


@given(st.text())
def test_scrubbing_takes_any_text(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)


def test_an_event_is_one_line_of_json_with_its_fields(lines: Lines) -> None:
    structlog.get_logger().info("artifact received", source="team", bytes=3)

    event = lines.last()
    assert lines.getvalue().count("\n") == 1
    assert (event["event"], event["level"], event["source"], event["bytes"]) == ("artifact received", "info", "team", 3)
    assert event["timestamp"].endswith("Z")


def test_every_event_of_a_request_carries_its_id(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger().info("page rendered")

    assert lines.last()["request_id"] == "abc"


def test_events_below_the_level_are_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("asked")

    assert lines.getvalue() == ""


def test_no_field_of_any_type_shows_a_secret(lines: Lines) -> None:
    url = "https://u:hunter2@feed.example/?sig=hunter2"

    structlog.get_logger().warning(
        f"asked {url}",
        error=ValueError(url),
        headers={"Authorization": "hunter2", "Accept": url},
        urls=[url, (url,)],
        secret=Secret("hunter2"),
        cookie="hunter2",
        path=Path("/srv/wheels"),
        none=None,
    )

    assert "hunter2" not in lines.getvalue()
    assert lines.last()["path"] == "/srv/wheels"


def test_the_text_of_an_exception_and_of_its_causes_shows_no_secret(lines: Lines) -> None:
    def fail() -> None:
        try:
            int("https://u:hunter2@feed.example/")
        except ValueError as error:
            raise RuntimeError("sig=hunter2") from error

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("background task failed")

    assert "hunter2" not in lines.getvalue()
    assert "RuntimeError" in lines.last()["exception"]


def test_libraries_are_heard_when_something_is_wrong(lines: Lines) -> None:
    logging.getLogger("azure.core").info("request")
    logging.getLogger("aiohttp.client").warning("odd answer from %s", "https://u:hunter2@feed.example/")

    event = lines.last()
    assert event["event"] == "odd answer from https://feed.example/"
    assert (event["level"], event["logger"]) == ("warning", "aiohttp.client")
    assert lines.getvalue().count("\n") == 1


def test_a_librarys_message_that_does_not_fit_its_arguments_is_logged_all_the_same(lines: Lines) -> None:
    (ours,) = (each for each in logging.getLogger().handlers if type(each).__module__ == "proxy.telemetry.logs")

    ours.handle(logging.LogRecord("library", logging.ERROR, "", 1, "%d", ("many",), None))

    assert lines.last()["event"] == "%d"


def test_text_is_for_people(lines: Lines) -> None:
    out = io.StringIO()
    set_up("info", "text", out)

    structlog.get_logger().warning("source cannot be asked", source="team", url="https://u:hunter2@feed.example/")

    assert "source cannot be asked" in out.getvalue()
    assert "{" not in out.getvalue()
    assert "hunter2" not in out.getvalue()
    assert lines.getvalue() == ""
