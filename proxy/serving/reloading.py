"""What SIGHUP asks for: the configuration as it is now, if it is right, on the address that it names now."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from proxy.config import Config
from proxy.errors import ConfigurationInvalid
from proxy.serving.listening import bind, port_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Orders:
    """What the command line gives to whoever serves."""

    load: Callable[[], Config]
    """Reads the configuration anew. Raises: ConfigurationInvalid."""
    file: Path | None
    """Where it reads it from."""
    announce: Callable[[Config, str, int], None]
    """Is told the configuration and the address once clients can connect."""
    describe: Callable[[Exception], tuple[str, int]]
    """Gives the sentence for an error, and the exit code."""


def reload(orders: Orders) -> Config | None:
    """Give the configuration as it is now; `None`: it is wrong, and the log says why."""
    try:
        return orders.load()
    except ConfigurationInvalid as error:
        # One line for all mistakes: each process that reads the file says the same.
        mistakes = "; ".join(str(problem) for problem in error.problems)
        refuse(mistakes, remedy=f"wheelgate check --offline --config {error.file} shows them in a table")
    return None


def refuse(reason: str, *, remedy: str = "") -> None:
    """Say that the old configuration stays."""
    said = {"reason": reason} | ({"remedy": remedy} if remedy else {})
    log.error("the new configuration is not taken over, the old one stays", **said)


def rebind(new: Config, old: Config, sockets: list[socket.socket]) -> list[socket.socket] | None:
    """Give the sockets for a new configuration: `sockets` where its address is the same as before.

    `None`: nobody can listen there, and the log says why.
    """
    host, port = new.server.host, new.server.port
    if (host, port) == (old.server.host, old.server.port):
        return sockets
    try:
        return bind(host, port)
    except OSError as error:
        refuse(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            remedy="correct server.host and server.port, or stop what listens there",
        )
    return None


def tell(new: Config, old: Config, sockets: list[socket.socket], *, processes: int) -> None:
    """Say that a new configuration was taken over, and what of it clients and operators will notice."""
    host, port = new.server.host, port_of(sockets)
    log.info("reloaded", host=host, port=port, feeds=list(new.feeds), processes=processes)
    if (host, new.server.port) != (old.server.host, old.server.port):
        log.warning(
            "the server has moved: nobody listens at the old address any more",
            before=f"{old.server.host}, port {old.server.port}",
            now=f"{host}, port {port}",
        )
