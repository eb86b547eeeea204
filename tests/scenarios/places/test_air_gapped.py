"""Inside a network without a way out: what a connected server cached is all that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.environments import Client
from tests.fakes.asking import ask
from tests.fakes.every_place import EveryPlace
from tests.fakes.process import StartServer

pytestmark = [pytest.mark.azurite, pytest.mark.timeout(300)]
KINDS = ("azure-blob", "simple", "github")
# What an index that is not asked does not remember is unknown, not absent: so it comes last, with its names claimed.
ORDER = (
    'sources = ["curated", "team", "models", "public"]',
    'sources = ["curated", "models", "public", "team"]\nclaims = { team = ["acme-feed"] }',
)


@pytest.mark.clients
async def test_a_cache_that_was_carried_in_serves_everything_that_went_through_it(
    new_pip: Client, start_server: StartServer, places: EveryPlace, tmp_path: Path
) -> None:
    outside = start_server(places.config(ORDER))
    install = ("install", "--index-url", outside.index_url, "--target", tmp_path / "outside", "acme-core")
    await new_pip.run(*install, home=tmp_path / "outside-home")
    outside.stop()
    inside_cache = places.cache.with_name("carried-cache")
    places.cache.rename(inside_cache)
    places.cache = inside_cache
    for name in ("sas", "pat", "github"):
        (places.secrets / name).unlink()
    places.container.delete_container()
    asked = len(places.devops.requests), len(places.github.requests), len(places.public.requests)

    switched_off = [(f'kind = "{kind}"', f'kind = "{kind}"\noffline = true') for kind in KINDS]
    inside = start_server(places.config(ORDER, *switched_off))
    install = ("install", "--index-url", inside.index_url, "--target", tmp_path / "inside", "acme-core")
    await new_pip.run(*install, home=tmp_path / "inside-home")
    never_cached = await ask(f"{inside.index_url}never-cached/")

    assert len(list((tmp_path / "inside").glob("*.dist-info"))) == 4
    assert never_cached.status == 503
    assert "offline" in never_cached.json["detail"] + never_cached.remedy
    assert (len(places.devops.requests), len(places.github.requests), len(places.public.requests)) == asked
