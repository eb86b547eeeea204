"""The storage emulator, as a process of its own: real answers to real requests.

It starts in two seconds, keeps everything in a temporary folder, and is stopped with the tests.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

ROOT = Path(__file__).parents[2]
_MAIN = ROOT / "node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published, and the same in every emulator."""
_START = 30.0
# The newest that this emulator and its client library agree on.
_SDK_VERSION = "2025-11-05"


@dataclass(frozen=True)
class Azurite:
    """A running emulator."""

    url: str
    """The account's endpoint, with the account in its path."""

    @property
    def connection_string(self) -> str:
        """What a portal would show."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.url};"

    def make_container(self, *, public: bool = False, ca_file: Path | None = None) -> ContainerClient:
        """Make a container that no other test has, through Microsoft's own library."""
        service = BlobServiceClient(
            self.url,
            credential={"account_name": ACCOUNT, "account_key": KEY},
            api_version=_SDK_VERSION,
            connection_verify=str(ca_file) if ca_file else True,
        )
        return service.create_container(f"t{uuid.uuid4().hex[:20]}", public_access="container" if public else None)


@contextmanager
def run_azurite(*, chain: Path | None = None) -> Iterator[Azurite]:
    """Run an emulator; with `chain` (a key and its certificate) over TLS, where it takes tokens."""
    node = shutil.which("node")
    if node is None or not _MAIN.is_file():
        pytest.fail("the storage emulator is not installed: run `npm ci` at the root of the repository", pytrace=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="azurite-")
    command = [node, str(_MAIN), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    if chain is not None:
        command += ["--oauth", "basic", "--cert", str(chain), "--key", str(chain)]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait(process, port)
        origin = f"https://localhost:{port}" if chain is not None else f"http://127.0.0.1:{port}"
        yield Azurite(f"{origin}/{ACCOUNT}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read().decode(errors="replace") if process.stderr is not None else ""
            pytest.fail(f"the storage emulator ended at once: {said[-2000:]}", pytrace=False)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail("the storage emulator did not start", pytrace=False)
