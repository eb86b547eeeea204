from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from tests.contracts.paged import PagedSourceContract
from tests.fakes.index import FakeIndex


class IndexStage:
    """An index, which breaks down by closing every connection."""

    def __init__(self, index: FakeIndex, session: Session) -> None:
        self.index = index
        self.source = SimpleIndex(Upstream(session, name="feed", timeout=5), url=index.url)

    async def put(self, filename: str, content: bytes) -> None:
        self.index.has(filename, content=content)

    async def delete(self, filename: str) -> None:
        self.index.lacks(filename)

    async def break_down(self) -> None:
        self.index.is_down("close")

    async def mend(self) -> None:
        self.index.is_up()


class TestJson(PagedSourceContract):
    formats = frozenset({"json", "html"})

    @pytest.fixture
    async def stage(self) -> AsyncIterator[IndexStage]:
        async with FakeIndex() as index, Session() as session:
            index.formats = set(self.formats)
            yield IndexStage(index, session)


class TestHtml(TestJson):
    formats = frozenset({"html"})


class TestWithoutValidators(TestJson):
    """Feeds that send neither an ETag nor a date, and refuse ranges."""

    @pytest.fixture
    async def stage(self) -> AsyncIterator[IndexStage]:
        async with FakeIndex() as index, Session() as session:
            index.page_etags = index.file_etags = False
            index.no_ranges()
            yield IndexStage(index, session)
