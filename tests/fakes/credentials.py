"""Credentials that are decided by the test."""

from __future__ import annotations

from proxy.sources.session import Authorisation


class FakeCredentials:
    """Adds what is set for URLs that begin with `target`, and rotates to the next secret when one is refused."""

    def __init__(self, target: str, *headers: str, query: str = "") -> None:
        """Use the first of `headers` as Authorization, after a refusal the next."""
        self.target = target
        self.headers = list(headers)
        self.query = query
        self.asked: list[str] = []
        self.refusals: list[str] = []

    async def authorise(self, url: str) -> Authorisation | None:
        self.asked.append(url)
        if not url.startswith(self.target):
            return None
        headers = {"Authorization": self.headers[0]} if self.headers else {}
        return Authorisation(headers, query=self.query, connection="connection-1")

    async def refused(self, url: str) -> bool:
        self.refusals.append(url)
        if len(self.headers) > 1:
            del self.headers[0]
            return True
        return False
