"""The command `wheelgate`: options in, exit codes and sentences out.

Exit codes: 0 good; 1 it failed; 2 the configuration or the options are wrong; 130 interrupted.
Everything that is slow to import is imported by the command that needs it, so that `--help` is quick.
"""

# ruff: noqa: PLC0415 - what is slow to import is imported late

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from proxy.cli_options import (
    FAILED,
    INTERRUPTED,
    INVALID,
    check_feed,
    config_option,
    feed_option,
    json_option,
    load_config,
    option,
    progress,
)
from proxy.cli_rules import check_rules, pins

if TYPE_CHECKING:
    from proxy.config import Config

T = TypeVar("T")


class _Port(click.IntRange):
    """A TCP port; Kubernetes' own `WHEELGATE_PORT` is passed over."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Give the number, or `None`."""
        # For a Service named wheelgate, Kubernetes sets WHEELGATE_PORT=tcp://10.0.0.1:8080 in every pod.
        if isinstance(value, str) and value.startswith("tcp://"):
            return None
        return super().convert(value, param, ctx)


class _Processes(click.IntRange):
    """A number of processes, or `auto`."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Give the number, or `auto`."""
        return value if value == "auto" else super().convert(value, param, ctx)


def _print_version(ctx: click.Context) -> None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"wheelgate {version('wheelgate')}")
    except PackageNotFoundError:
        click.echo("wheelgate (from its sources, not installed)")
    ctx.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, asked: _print_version(ctx) if asked else None,
    help="Print the version.",
)
def wheelgate() -> None:
    """Wheelgate: one private Python package index in front of all the places that you install from."""


@wheelgate.command()
@config_option
@option("--host", metavar="ADDRESS", help="Where to listen, instead of server.host.")
@option(
    "--port", type=_Port(0, 65535), metavar="PORT", help="Where to listen, instead of server.port; 0 is any free port."
)
@option(
    "--processes",
    type=_Processes(min=1),
    metavar="NUMBER|auto",
    help="How many processes serve, instead of server.processes.",
)
@option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="From which level on to log.",
)
@option(
    "--log-format",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    show_default=True,
    help="How to log; auto is text on a terminal and JSON elsewhere.",
)
def serve(
    *,
    config: Path | None,
    host: str | None,
    port: int | None,
    processes: int | str | None,
    log_level: Any,  # noqa: ANN401 - click has checked it
    log_format: Any,  # noqa: ANN401 - as above
) -> None:
    """Run the server."""
    # Looking for plug-ins, of which none is meant here, reads what every library that is installed says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    # It would be imported for the tracebacks of a console, which are not printed here: 5 MiB of each process.
    with _without("rich"):
        from proxy.telemetry import logs

    changes = {"host": host, "port": port, "processes": processes}
    options = {key: value for key, value in changes.items() if value is not None}

    def load() -> Config:
        loaded, _ = load_config(config)
        return loaded.model_copy(update={"server": loaded.server.model_copy(update=options)})

    loaded = load()
    logs.set_up(log_level, log_format)

    from proxy.cli_announcement import announce
    from proxy.config import find
    from proxy.serving.listening import bind
    from proxy.serving.reloading import Orders

    orders = Orders(load, find(config, os.environ), announce, _describe)
    with _listening(loaded.server.host, loaded.server.port):
        sockets = bind(loaded.server.host, loaded.server.port)
        if loaded.server.processes == 1:
            from proxy.serving.alone import Alone

            code = 0 if _run(Alone(orders).serve(loaded, sockets)) else FAILED
        else:
            from proxy.serving import many

            code = many.serve(loaded, sockets, orders)
    raise click.exceptions.Exit(code)


@wheelgate.command(short_help="Validate the configuration, and ask every source.")
@config_option
@option("--offline", is_flag=True, help="Only validate the configuration; ask no source.")
@json_option
def check(*, config: Path | None, offline: bool, as_json: bool) -> None:
    """Validate the configuration, then ask every source and credential whether it works."""
    from proxy import cli_output
    from proxy.errors import ConfigurationInvalid
    from proxy.telemetry import logs

    try:
        loaded, file = load_config(config)
    except ConfigurationInvalid as error:
        if as_json:
            import msgspec

            click.echo(msgspec.json.encode({"good": False, "problems": error.problems}))
        raise
    logs.set_up("error")
    if offline and not as_json:
        click.echo(cli_output.describe_configuration(loaded, file))
        return

    from proxy import assembly

    with progress("asking every source"):
        report = _run(assembly.check(loaded, offline=offline))
    if as_json:
        click.echo(report.as_json())
    else:
        cli_output.print_report(report, sys.stdout)
    raise click.exceptions.Exit(report.exit_code)


@wheelgate.command(short_help="Say who owns a project, and why.")
@click.argument("requirement", metavar="PROJECT[SPECIFIER]")
@feed_option
@config_option
@json_option
def explain(*, requirement: str, feed: str, config: Path | None, as_json: bool) -> None:
    """Say which source owns a project and why, and what becomes of each of its files."""
    from proxy import cli_output
    from proxy.telemetry import logs

    loaded, _ = load_config(config)
    _check_requirement(requirement)
    check_feed(loaded, feed)
    logs.set_up("error")

    from proxy import assembly

    with progress("asking the sources"):
        explanation = _run(assembly.explain(loaded, requirement, feed))
    if as_json:
        click.echo(explanation.as_json())
    else:
        cli_output.print_explanation(explanation, sys.stdout)
    raise click.exceptions.Exit(0 if explanation.is_known else FAILED)


wheelgate.add_command(check_rules)
wheelgate.add_command(pins)


def main() -> None:
    """Run the command, and end the process with its exit code; never with a traceback."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command and give its exit code; what went wrong is one sentence on stderr."""
    try:
        result = wheelgate.main(arguments, prog_name="wheelgate", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"wheelgate: {error.format_message()}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("WHEELGATE_DEBUG"):
            raise
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    sentence, code = _describe(error)
    click.echo(f"wheelgate: {sentence}", err=True)
    return code


def _describe(error: Exception) -> tuple[str, int]:
    """Give the sentence for what went wrong, and the exit code."""
    from proxy.errors import ConfigurationInvalid, WheelgateError
    from proxy.telemetry.logs import scrub

    # A task group wraps what went wrong in one of its tasks.
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case ConfigurationInvalid():
            # Here and not above: were it the import that fails, this would be a traceback after all.
            from proxy.cli_output import describe_problems

            sentence, code = describe_problems(error), INVALID
        case WheelgateError():
            sentence, code = f"{error}" + (f" ({error.remedy})" if error.remedy else ""), FAILED
        case OSError(strerror=str(reason), filename=str(file)):
            sentence, code = f"{file}: {reason} (check that it is there and who may use it)", FAILED
        case _:
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            sentence, code = f"something unforeseen: {what} (WHEELGATE_DEBUG=1 shows where)", FAILED
    return scrub(sentence), code


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)


def _check_requirement(text: str) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
    except InvalidRequirement as error:
        hint = 'write a project, with versions if only some are meant: numpy or "numpy<3"'
        raise click.BadParameter(f"{text!r} is not a requirement ({hint})", param_hint="PROJECT[SPECIFIER]") from error
    if wanted.url:
        raise click.BadParameter("a feed has no project of that address", param_hint="PROJECT[SPECIFIER]")


@contextmanager
def _without(library: str) -> Iterator[None]:
    """Let what is imported meanwhile go without a library that it makes use of only where it is there.

    Source: the Python language reference, "The module cache".
    """
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]  # typeshed knows modules only
    try:
        yield
    finally:
        del sys.modules[library]


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    """Say in words why the server cannot listen."""
    try:
        yield
    except socket.gaierror as error:
        raise click.ClickException(f"{host} is no address of this machine (choose another with --host)") from error
    except OSError as error:
        # Errors about files carry their name; what has none is about the address.
        reason = None if error.filename else _BINDING.get(error.errno or 0)
        if reason is None:
            raise
        raise click.ClickException(reason.format(host=host, port=port)) from error


_BINDING = {
    errno.EADDRINUSE: "port {port} on {host} is in use (choose another with --port, or stop what listens there)",
    errno.EADDRNOTAVAIL: "{host} is no address of this machine (choose another with --host)",
    errno.EACCES: "not allowed to listen on port {port} (choose one above 1023 with --port)",
}
