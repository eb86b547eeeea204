"""Small real wheels and source distributions."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence


def build_wheel(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires: Sequence[str] = (),
    extra_files: Mapping[str, bytes] | None = None,
    size_padding: int = 0,
) -> bytes:
    """Give the bytes of a pure wheel that pip and uv install; `size_padding` more bytes that do not compress.

    The same arguments give the same bytes.
    """
    stem = name.replace("-", "_").replace(".", "_")
    dist_info = f"{stem}-{version}.dist-info"
    files: dict[str, bytes] = {f"{stem}/__init__.py": f'__version__ = "{version}"\n'.encode()}
    files |= extra_files or {}
    if size_padding:
        files[f"{stem}/padding.bin"] = _noise(size_padding)
    files[f"{dist_info}/METADATA"] = metadata(name, version, requires_python=requires_python, requires=requires)
    files[f"{dist_info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b'=').decode()},{len(body)}\n"
        for path, body in files.items()
    )
    files[f"{dist_info}/RECORD"] = (record + f"{dist_info}/RECORD,,\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, body in files.items():
            kind = zipfile.ZIP_STORED if path.endswith("padding.bin") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), body, compress_type=kind)
    return out.getvalue()


def build_sdist(name: str, version: str, *, requires_python: str | None = None) -> bytes:
    """Give the bytes of a source distribution."""
    stem = f"{name.replace('-', '_')}-{version}"
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for path, body in {
            f"{stem}/PKG-INFO": metadata(name, version, requires_python=requires_python),
            f"{stem}/pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n',
        }.items():
            member = tarfile.TarInfo(path)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


def metadata(name: str, version: str, *, requires_python: str | None = None, requires: Sequence[str] = ()) -> bytes:
    """Give a METADATA file."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return ("\n".join(lines) + "\n").encode()


def _noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)
