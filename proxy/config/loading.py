"""Finding, reading and judging a configuration: all of its mistakes in one report."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.config.models import Config
from proxy.config.relations import disagreements
from proxy.config.reporting import translate
from proxy.errors import ConfigurationInvalid, Problem

EMBEDDED = """
[sources.packages]
kind = "directory"
path = "./packages"
create = true

[sources.public]
kind = "simple"
url = "pip"

[feeds.default]
sources = ["packages", "public"]
"""
"""What is served where there is no configuration; `config/wheelgate.toml` says the same with explanations."""


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Give the file to read: the one named, that of `WHEELGATE_CONFIG`, or the one here. `None`: there is none."""
    if explicit is not None:
        return explicit
    if environ.get("WHEELGATE_CONFIG"):
        return Path(environ["WHEELGATE_CONFIG"])
    here = Path("config", "wheelgate.toml")
    return here if here.is_file() else None


def embedded_default() -> Config:
    """Give what is used without a configuration. Raises: ConfigurationInvalid without a home directory."""
    return validate(tomllib.loads(EMBEDDED), "the embedded default")


def load(path: Path) -> Config:
    """Read the configuration in `path`.

    Raises: ConfigurationInvalid with every mistake in it, also where it cannot be read or is no TOML.
    """
    try:
        # Some editors start a file with a byte order mark; TOML has none.
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        problem = Problem(str(path), "there is no such file", "name another with --config or WHEELGATE_CONFIG")
        raise ConfigurationInvalid([problem], str(path)) from error
    except OSError as error:
        problem = Problem(str(path), f"cannot be read: {error.strerror}", "check what it is and who may read it")
        raise ConfigurationInvalid([problem], str(path)) from error
    except UnicodeDecodeError as error:
        problem = Problem(str(path), "is not text in UTF-8", "save it again as UTF-8")
        raise ConfigurationInvalid([problem], str(path)) from error
    return validate(_parse(text, str(path)), str(path))


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(?P<what>.*) \(at (?P<where>.*)\)", str(error), re.DOTALL)
        where = found["where"] if found else "somewhere"
        what = f"not valid TOML: {found['what'] if found else error}"
        remedy = 'text is in "quotes", a table starts with [name], and each key is written once'
        raise ConfigurationInvalid([Problem(where, what, remedy)], file) from error


def validate(document: dict[str, Any], file: str) -> Config:
    """Judge the tables of a configuration that was read from `file`. Raises: ConfigurationInvalid."""
    config, problems = None, []
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        translated = [translate(detail, document) for detail in error.errors(include_url=False)]
        # A value that fits no member of a union is reported once, not once for each member.
        problems = list({problem.path: problem for problem in reversed(translated)}.values())[::-1]
    except RuntimeError as error:
        remedy = "set cache.directory in the configuration, or HOME or XDG_CACHE_HOME in the environment"
        raise ConfigurationInvalid([Problem("cache.directory", "there is no home directory", remedy)], file) from error
    said = {problem.path for problem in problems}
    problems += [problem for problem in disagreements(document) if problem.path not in said]
    if problems or config is None:
        raise ConfigurationInvalid(problems, file)
    return config
