"""What SIGHUP asks for: the configuration as it is now, if it is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from proxy.config import Config
from proxy.errors import ConfigurationInvalid

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
        for problem in error.problems:
            log.error("mistake in the new configuration", path=problem.path, problem=str(problem), file=error.file)  # noqa: TRY400 - an answer, no bug
        refuse(f"{len(error.problems)} mistakes" if len(error.problems) != 1 else "1 mistake")
    return None


def refuse(reason: str) -> None:
    """Say that the old configuration stays."""
    log.error("the new configuration is not taken over, the old one stays", reason=reason)
