"""The servers that are measured: ours, nginx as the limit, and the fake upstream behind all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.load import get
from bench.machine import HOST, Running, free_port
from bench.tools import CACHE, ROOT
from bench.upstream.contents import HTML, JSON

_SIMPLE = """\
[server]
processes = {processes}
[cache]
directory = "{folder}/cache"
size = "200 GiB"
[sources.upstream]
kind = "simple"
url = "{upstream}"
{settings}
[feeds.default]
sources = ["upstream"]
"""

_CONTAINER = """\
[cache]
directory = "{folder}/cache"
[sources.container]
kind = "azure-blob"
account_url = "{upstream}"
container = "wheels"
credential = "anonymous"
refresh = "1 h"
[feeds.default]
sources = ["container"]
"""

_DIRECTORY = """\
[cache]
directory = "{folder}/cache"
[sources.shelf]
kind = "directory"
path = "{path}"
refresh = "1 h"
[feeds.default]
sources = ["shelf"]
"""

_NGINX = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/octet-stream;
  map $http_accept $form {{ default html; "~json" json; }}
  map $http_accept $form_type {{ default "text/html"; "~json" "{json}"; }}
  {more}
}}
"""

_CACHING = """\
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=all:64m max_size=100g inactive=1d use_temp_path=off;
  upstream index {{ server {host}:{upstream}; keepalive 64; }}
  server {{
    listen {host}:{port} backlog=1024;
    location / {{
      proxy_pass http://index;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache all;
      proxy_cache_key $uri$form$http_accept_encoding;
      proxy_cache_valid 200 1d;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 1h;
      proxy_cache_lock_age 1h;
      proxy_ignore_headers Vary;
    }}
  }}
"""

_STATIC = """\
  server {{
    listen {host}:{port} backlog=1024;
    root {folder}/tree;
    gzip_static on;
    location ~ ^/[^/]+/simple/ {{ default_type $form_type; types {{ }} try_files $uri$form =404; }}
    location / {{ }}
  }}
"""


def upstream(folder: Path, core: int) -> Running:
    """Start the fake upstream."""
    port = free_port()
    return Running(
        [sys.executable, "-m", "bench.upstream", str(port), CACHE],
        folder=folder,
        on=[core],
        port=port,
        ready="/stats",
        environment={"PYTHONPATH": str(ROOT)},
    )


def proxied(upstream_url: str, folder: Path, *, settings: Sequence[str] = (), processes: int = 1) -> str:
    """Give a configuration of ours in front of an upstream."""
    return _SIMPLE.format(folder=folder, upstream=upstream_url, settings="\n".join(settings), processes=processes)


def container(account_url: str, folder: Path) -> str:
    """Give a configuration of ours in front of a container."""
    return _CONTAINER.format(folder=folder, upstream=account_url)


def directory(path: Path, folder: Path) -> str:
    """Give a configuration of ours in front of a folder."""
    return _DIRECTORY.format(folder=folder, path=path)


def wheelgate(config: str, folder: Path, cores: Sequence[int]) -> Running:
    """Start our server with a configuration, and otherwise as it is: with its access log, into a file."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "wheelgate.toml"
    file.write_text(config)
    return Running(
        [sys.executable, "-m", "proxy", "serve", "--host", HOST, "--port", str(port), "--config", file],
        folder=folder,
        on=cores,
        port=port,
        ready="/readyz",
        environment={"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "user")},
    )


def nginx_cache(nginx: Path, upstream_port: int, folder: Path, core: int) -> Running:
    """Start nginx with `proxy_cache` in front of the fake upstream: what one can hope for, without any judgement."""
    return _nginx(nginx, _CACHING, folder, core, upstream=upstream_port)


def nginx_static(nginx: Path, upstream_port: int, folder: Path, core: int, paths: Sequence[str]) -> Running:
    """Start nginx over files: the pages at `paths` as the upstream has them, compressed beforehand, and its files."""
    for path in paths:
        if "/simple/" in path:
            for form, media_type in (("html", HTML), ("json", JSON)):
                for coding, ending in (("identity", ""), ("gzip", ".gz")):
                    body = get(upstream_port, path, {"Accept": media_type, "Accept-Encoding": coding}).body
                    _place(folder / "tree" / f"{path[1:]}{form}{ending}", body)
        else:
            _place(folder / "tree" / path[1:], get(upstream_port, path).body)
    return _nginx(nginx, _STATIC, folder, core)


def _place(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _nginx(nginx: Path, more: str, folder: Path, core: int, **given: object) -> Running:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    # Where it may choose, its worker would become somebody who must not read a folder of ours.
    user = "user root;" if os.geteuid() == 0 else ""
    server = more.format(folder=folder, host=HOST, port=port, **given)
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, user=user, json=JSON, more=server))
    command: list[str | Path] = [nginx, "-p", folder, "-c", config, "-e", folder / "error.log"]
    return Running(command, folder=folder, on=[core], port=port, ready="/stats")
