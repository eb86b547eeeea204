"""The house's rules that no linter knows: size, borders between the parts, and what may stand in a tracked file."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROXY = sorted((ROOT / "proxy").rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# Written so that this file does not match itself.
DEVELOPERS_FOLDER = re.compile(r"(?<![\w.])/(?:root|work|farm|home|Users|tmp/venv)" + r"/[A-Za-z.]")
ADDRESS = re.compile(r"\w+://|^\s*-(?:-(?:index|extra-index|find-links)|[fi])\b", re.MULTILINE)

MAY_IMPORT_AZURE = re.compile(r"proxy/sources/azure_\w+\.py")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(path: Path) -> Iterator[str]:
    """Give the full names of all modules that `path` imports, at its top or anywhere else."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
                yield module


def imports_any_of(path: Path, *modules: str) -> list[str]:
    return sorted({name for name in imported(path) if any(name == m or name.startswith(f"{m}.") for m in modules)})


def tracked() -> list[Path]:
    """Give all files of the repository, or of the folder where it came without one."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        names = subprocess.run([git, "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout
        found = [ROOT / name for name in names.decode().split("\0") if name]
    else:
        hidden = {".venv", "node_modules", ".git"}
        found = [path for path in ROOT.rglob("*") if not hidden & set(path.relative_to(ROOT).parts)]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        try:
            yield relative(path), path.read_text()
        except UnicodeDecodeError:
            continue


def run(*command: str) -> str:
    """Give what a command printed; nothing where it is not there or fails."""
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout.strip()
    except OSError:
        return ""


def registry_hosts() -> set[str]:
    """Give the hosts of the public registries, as pip and npm know them, so that they need not be written here."""
    know = "from pip._internal.models.index import PyPI as index; print(index.netloc, index.file_storage_domain)"
    hosts = set(run(sys.executable, "-c", know).split())
    # npm's own default is among its defaults, whatever a developer has configured.
    for command in (("npm", "config", "get", "registry"), ("pip", "config", "get", "global.index-url")):
        hosts.add(urllib.parse.urlsplit(run(*command)).hostname or "")
    return {host for host in hosts if "." in host}


@pytest.mark.parametrize("path", PROXY, ids=relative)
def test_a_file_can_be_read_in_a_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", PROXY, ids=relative)
def test_a_function_does_one_thing(path: Path) -> None:
    functions = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("path", PROXY, ids=relative)
def test_a_module_stays_within_its_borders(path: Path) -> None:
    name = relative(path)

    if name != "proxy/store/index.py":
        assert imports_any_of(path, "diskcache") == []
    if not MAY_IMPORT_AZURE.fullmatch(name):
        assert imports_any_of(path, "azure", "msal") == []
    assert imports_any_of(path, "pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle") == [], (
        "reading a pickle runs whatever stands in it"
    )


@pytest.mark.parametrize("path", PROXY, ids=relative)
def test_every_task_has_an_owner(path: Path) -> None:
    if relative(path) == "proxy/tasks.py":
        return

    starts = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"create_task", "ensure_future"}
        and not is_group(node.value)
    ]

    assert imports_any_of(path, "asyncio.create_task", "asyncio.ensure_future") == []
    assert starts == [], "tasks.Background and TaskGroup own tasks"


def is_group(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id not in {"asyncio", "loop"}


def test_imports_point_down_only() -> None:
    # In a process of its own: the command changes the logging of the process it runs in.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]

    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert result.returncode == 0, result.stdout + result.stderr


def test_no_file_names_the_host_of_a_public_registry() -> None:
    hosts = registry_hosts()
    assert hosts, "pip should know its own index"

    assert [(name, host) for name, text in texts() for host in hosts if host in text] == []


def test_no_file_names_a_folder_of_a_developers_machine() -> None:
    found = [(name, match.group()) for name, text in texts() for match in DEVELOPERS_FOLDER.finditer(text)]

    assert found == []


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=relative)
def test_a_lock_file_holds_digests_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    pins = re.split(r"\n(?=\S)", text)

    assert ADDRESS.search(text) is None
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_what_is_deployed_is_what_was_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    assert pins("requirements-build.lock") <= pins("requirements-dev.lock")
