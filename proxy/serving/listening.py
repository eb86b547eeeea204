"""The listening sockets: bound once, before anything is built, and shared by all who serve."""

from __future__ import annotations

import errno
import os
import socket

BACKLOG = 1024
"""How many connections the kernel keeps waiting until somebody takes them."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Take each address of `host`; port 0 is the same free one on all of them. Who serves begins to listen.

    One socket for all processes: what waits on it is lost with none of them, other than with `SO_REUSEPORT`.

    Raises: OSError without a file name, as binding does; socket.gaierror.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    absent = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                one = _bound(family, kind, protocol, (address[0], port, *address[2:]))
            except OSError as error:
                # A name may have an address of a family that this machine goes without.
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
                absent = error
                continue
            sockets.append(one)
            port = port_of([one])
    except BaseException:
        close(sockets)
        raise
    if not sockets:
        raise absent
    return sockets


def port_of(sockets: list[socket.socket]) -> int:
    """Give the port that is listened on."""
    port: int = sockets[0].getsockname()[1]
    return port


def close(sockets: list[socket.socket]) -> None:
    """Listen no more, as far as this process is concerned."""
    for one in sockets:
        one.close()


def _bound(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, kind, protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)
        one.bind(address)
    except BaseException:
        one.close()
        raise
    return one
