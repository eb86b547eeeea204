"""A secret that changes, or is revoked, is picked up by the running server."""

from __future__ import annotations

import datetime as dt

import pytest
from azure.storage.blob import AccessPolicy, ContainerSasPermissions, generate_container_sas

from tests.fakes.asking import Said, ask, ask_until
from tests.fakes.azurite import ACCOUNT, KEY
from tests.fakes.every_place import CORE, FEED, MODEL, EveryPlace, leaks
from tests.fakes.process import StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite


def is_found(said: Said) -> bool:
    return said.status == 200


async def test_a_token_that_was_replaced_works_at_the_next_request(
    start_server: StartServer, places: EveryPlace
) -> None:
    """Written first, revoked after: nobody notices."""
    server = start_server(places.config())
    assert FEED in (await ask(f"{server.index_url}acme-feed/")).files

    places.keep("pat", "the-next-pat")
    places.devops.roles = {"the-next-pat": "collaborator"}
    places.devops.has("acme_feed-2.1-py3-none-any.whl", build_wheel("acme-feed", "2.1"))
    said = await ask(f"{server.index_url}acme-feed/")

    assert "acme_feed-2.1-py3-none-any.whl" in said.files
    assert leaks(places, said.body, server.log.encode(), others=["the-next-pat"]) == []


async def test_a_token_that_is_replaced_after_its_end_works_without_a_restart(
    start_server: StartServer, places: EveryPlace
) -> None:
    server = start_server(places.config())
    places.devops.roles = {"the-next-pat": "collaborator"}
    refused = await ask(f"{server.index_url}acme-feed/")
    places.keep("pat", "the-next-pat")

    # The file is looked at once a second.
    said = await ask_until(f"{server.index_url}acme-feed/", is_found, seconds=5)

    assert refused.status == 502
    assert FEED in said.files


async def test_a_revoked_token_of_github_is_replaced_without_a_restart(
    start_server: StartServer, places: EveryPlace
) -> None:
    server = start_server(places.config())
    assert MODEL in (await ask(f"{server.index_url}acme-model/")).files
    places.github.token = "ghp_next"
    places.github.repositories["my-org/models"].tokens = {"ghp_next"}
    rescued = await ask(f"{server.index_url}acme-model/")
    places.keep("github", "ghp_next")

    places.github.release("my-org/models", "v4", {"acme_model-4.0-py3-none-any.whl": build_wheel("acme-model", "4.0")})
    said = await ask_until(f"{server.index_url}acme-model/", lambda said: b"acme_model-4.0" in said.body)
    file = await ask(f"{server.url}/files/acme-model/{MODEL}", accept="*/*")

    assert rescued.status == 200
    assert {MODEL, "acme_model-4.0-py3-none-any.whl"} == set(said.files)
    assert file.status == 200
    assert places.strangers() == []


async def test_a_signature_that_is_revoked_is_replaced_without_a_restart(
    start_server: StartServer, places: EveryPlace
) -> None:
    """Signatures by a stored policy end when the policy does."""

    def sign(policy: str) -> str:
        start = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
        allowed = AccessPolicy(
            permission=ContainerSasPermissions(read=True, list=True), start=start, expiry=start + dt.timedelta(hours=1)
        )
        places.container.set_container_access_policy({policy: allowed})
        made: str = generate_container_sas(
            ACCOUNT, str(places.container.container_name), account_key=KEY, policy_id=policy
        )
        return made

    places.keep("sas", sign("first"))
    server = start_server(places.config())
    assert CORE in (await ask(f"{server.index_url}acme-core/")).files

    second = sign("second")
    refused = await ask(f"{server.index_url}acme-new/")
    places.keep("sas", second)
    places.container.upload_blob("acme_new-1.0-py3-none-any.whl", build_wheel("acme-new", "1.0"))
    said = await ask_until(f"{server.index_url}acme-new/", is_found)

    assert refused.status in {404, 502}
    assert "acme_new-1.0-py3-none-any.whl" in said.files


async def test_a_secret_file_that_comes_late_ends_the_refusal(start_server: StartServer, places: EveryPlace) -> None:
    """Secrets may be mounted after the start; until then their source alone is refused."""
    (places.secrets / "github").unlink()
    server = start_server(places.config())
    before = await ask(f"{server.index_url}acme-model/")
    places.keep("github", places.github.token)

    after = await ask_until(f"{server.index_url}acme-model/", is_found, seconds=5)

    assert (before.status, after.status) == (502, 200)
    assert "secrets/github" in before.remedy
