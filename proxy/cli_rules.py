"""The commands about rules: `check-rules`, and `pins` with its parts. Options and exit codes are those of `cli.py`."""

# ruff: noqa: PLC0415 - what is slow to import is imported late, as in cli.py

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import click

from proxy.cli_options import FAILED, check_feed, config_option, feed_option, json_option, load_config, option, progress

if TYPE_CHECKING:
    from proxy.rules.pins import Pin
    from proxy.store.pins import Pins

T = TypeVar("T")


@click.command("check-rules", short_help="Say what of a requirements or lock file the rules would hide.")
@option(
    "--requirements",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    metavar="FILE",
    help="requirements.txt, pylock.toml or uv.lock.",
)
@feed_option
@config_option
@json_option
def check_rules(*, requirements: Path, feed: str, config: Path | None, as_json: bool) -> None:
    """Say what of a requirements or lock file the rules of a feed would hide, and why.

    Exit code: 0 nothing is hidden that is needed, 1 something is, or is not there, 2 the file or the
    configuration is wrong.
    """
    import asyncio

    from proxy import assembly
    from proxy.cli_output import print_rehearsal
    from proxy.requirements import Unreadable, read
    from proxy.telemetry import logs

    loaded, _ = load_config(config)
    check_feed(loaded, feed)
    try:
        wanted = read(requirements)
    except Unreadable as error:
        raise click.BadParameter(str(error), param_hint="--requirements") from error
    logs.set_up("error")
    with progress("asking the sources"):
        rehearsal = asyncio.run(assembly.rehearse(loaded, wanted, feed))
    if as_json:
        click.echo(rehearsal.as_json())
    else:
        print_rehearsal(rehearsal, sys.stdout)
    raise click.exceptions.Exit(0 if rehearsal.is_good else FAILED)


@click.group(short_help="Show, accept and move what files were when they were first served.")
def pins() -> None:
    """Show, accept and move what files were when they were first served."""


@pins.command(short_help="Show pins, those that changed first.")
@click.argument("project", required=False)
@config_option
@json_option
def show(*, project: str | None, config: Path | None, as_json: bool) -> None:
    """Show all pins, or those of PROJECT; first the files whose bytes changed."""
    import msgspec

    found = sorted(_ask(config, project), key=lambda pin: (not pin.found, pin.project, pin.filename))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for pin in found:
        state = f"CHANGED: its source has {pin.found} now" if pin.found else ""
        click.echo("  ".join(part for part in (pin.source, pin.filename, pin.sha256, state) if part))
    changed = sum(bool(pin.found) for pin in found)
    click.echo(f"{len(found)} pin{'s' * (len(found) != 1)}, {changed} changed", err=True)


@pins.command(short_help="Let the bytes that a file has now count.")
@click.argument("project")
@click.argument("filename", metavar="FILE")
@config_option
def accept(*, project: str, filename: str, config: Path | None) -> None:
    """Let the bytes that FILE of PROJECT has now at its source count from now on.

    A running server takes it over within seconds.
    """
    found = [pin for pin in _ask(config, project) if pin.filename == filename]
    changed = [pin for pin in found if pin.found]
    if not changed:
        why = "it has not changed" if found else "it was never served from here"
        raise click.ClickException(f"there is nothing to accept of {filename}: {why} (wheelgate pins show {project})")
    _work(config, lambda ledger: ledger.accept(changed))
    for pin in changed:
        click.echo(f"{filename} of {pin.source} is {pin.found} from now on, and no longer {pin.sha256}")


@pins.command("export", short_help="Write all pins as lines of JSON.")
@click.argument("file", type=click.File("w"), default="-")
@config_option
def export_(*, file: TextIO, config: Path | None) -> None:
    """Write all pins to FILE (standard output), a line of JSON for each."""
    import msgspec

    file.writelines(msgspec.json.encode(pin).decode() + "\n" for pin in _ask(config, None))


@pins.command("import", short_help="Add pins that another server has written.")
@click.argument("file", type=click.File("r"))
@config_option
def import_(*, file: TextIO, config: Path | None) -> None:
    """Add the pins in FILE; one that disagrees with what is known here changes nothing, and is told."""
    import msgspec

    from proxy.rules.pins import Pin

    pins: list[Pin] = []
    for number, line in enumerate(file, start=1):
        try:
            pins += [msgspec.json.decode(line, type=Pin)] if line.strip() else []
        except msgspec.DecodeError as error:
            raise click.ClickException(
                f"line {number} is no pin: {error} (write it by wheelgate pins export)"
            ) from error
    disagreeing = _work(config, lambda ledger: ledger.add(pins))
    click.echo(f"{len(pins) - len(disagreeing)} of {len(pins)} pins agree with what is known here now")
    for offered, kept in disagreeing:
        click.echo(f"{kept.source} {kept.filename}: here {kept.sha256}, there {offered.sha256}", err=True)
    raise click.exceptions.Exit(FAILED if disagreeing else 0)


def _ask(config: Path | None, project: str | None) -> list[Pin]:
    from proxy.simple.filename import normalize

    name = None if project is None else normalize(project) or project
    return _work(config, lambda ledger: ledger.all(name))


def _work(config: Path | None, work: Callable[[Pins], Awaitable[T]]) -> T:
    """Do something with the ledger of the configuration."""
    import asyncio

    from proxy.store.pins import Pins
    from proxy.telemetry import logs

    loaded, _ = load_config(config)
    logs.set_up("error")

    async def within() -> T:
        async with Pins(loaded.cache.ledger) as ledger:
            if not ledger.is_open:
                raise click.ClickException(
                    f"there is no ledger in {ledger.file} (check cache.pins, and who may use it)"
                )
            return await work(ledger)

    return asyncio.run(within())
