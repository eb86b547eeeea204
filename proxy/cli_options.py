"""What the commands have in common: options with their environment variables, exit codes, the configuration, progress.

Exit codes: 0 good; 1 it failed; 2 the configuration or the options are wrong; 130 interrupted.
"""

# ruff: noqa: PLC0415 - what is slow to import is imported late, as in cli.py

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from proxy.config import Config

FAILED = 1
INVALID = 2
INTERRUPTED = 130

F = TypeVar("F", bound=Callable[..., Any])


def option(name: str, *attribute: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 - click's own settings
    """Give an option `--some-name` with its environment variable `WHEELGATE_SOME_NAME`."""
    variable = "WHEELGATE_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *attribute, envvar=variable, show_envvar=True, **settings)


config_option = option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration. By default config/wheelgate.toml here, else what is built in.",
)
feed_option = option("--feed", default="default", show_default=True, metavar="NAME", help="The feed to ask.")
json_option = option("--json", "as_json", is_flag=True, help="Print JSON.")


def load_config(explicit: Path | None) -> tuple[Config, str]:
    """Give the configuration, and what to call where it came from. Raises: ConfigurationInvalid."""
    from proxy.config import embedded_default, find, load

    file = find(explicit, os.environ)
    return (embedded_default(), "the embedded default") if file is None else (load(file), str(file))


def check_feed(config: Config, feed: str) -> None:
    """Refuse a feed that the configuration does not have. Raises: click.BadParameter."""
    from proxy.config.relations import nearest

    if feed not in config.feeds:
        raise click.BadParameter(f"there is no feed {feed} ({nearest(feed, list(config.feeds))})", param_hint="--feed")


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Show on a terminal that something goes on."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{doing} …"):
        yield
