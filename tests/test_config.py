from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config import (
    AzureBlobSource,
    Config,
    ConnectionString,
    EnvSecret,
    FileSecret,
    GithubSource,
    KeyVaultSecret,
    SimpleSource,
    embedded_default,
    find,
    load,
)
from proxy.errors import ConfigurationInvalid
from proxy.rules.freshness import Windows

Write = Callable[[str], Path]

SMALLEST = """
[sources.public]
kind = "simple"
url = "pip"

[feeds.default]
sources = ["public"]
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "wheelgate.toml"
        file.write_text(text)
        return file

    return write


def problems(file: Path) -> dict[str, str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        load(file)
    return {problem.path: f"{problem.what} ({problem.remedy})" for problem in caught.value.problems}


def test_the_smallest_configuration_is_one_source_and_one_feed(write: Write) -> None:
    config = load(write(SMALLEST))

    assert config.feeds["default"].sources == ("public",)
    assert config.server.port == 8080
    assert config.cache.size == 10 * 1024**3


def test_what_is_built_in_serves_a_folder_before_the_public_index() -> None:
    config = embedded_default()

    packages, public = config.sources.values()
    assert config.feeds["default"].sources == ("packages", "public")
    assert packages.kind == "directory"
    assert (packages.path, packages.create) == (Path("packages"), True)
    assert public.kind == "simple"
    assert public.url == "pip"
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)


def test_the_cache_is_in_the_folder_that_the_desktop_standard_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/caches")  # noqa: S108 - only a name here

    assert embedded_default().cache.directory == Path("/var/tmp/caches/wheelgate")  # noqa: S108 - as above


def test_without_a_home_directory_the_cache_must_be_named(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "~")

    assert "HOME" in problems(write(SMALLEST))["cache.directory"]
    assert load(write('cache.directory = "/var/cache/wheelgate"' + SMALLEST))
    assert "home" in problems(write('cache.directory = "~/cache"' + SMALLEST))["cache.directory"]


def test_a_configuration_is_looked_for_where_it_was_named_then_in_the_environment_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(None, {}) is None
    assert find(None, {"WHEELGATE_CONFIG": ""}) is None

    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "wheelgate.toml").touch()

    assert find(None, {}) == Path("config/wheelgate.toml")
    assert find(None, {"WHEELGATE_CONFIG": "b.toml"}) == Path("b.toml")
    assert find(Path("a.toml"), {"WHEELGATE_CONFIG": "b.toml"}) == Path("a.toml")


def test_every_mistake_is_in_one_report_with_its_path(write: Write) -> None:
    found = problems(
        write("""
        sorces = {}
        [server]
        prot = 8080
        processes = "many"
        [sources.team]
        kind = "simple"
        url = "http://feed.example/simple/"
        timeout = "0 s"
        [sources.models]
        kind = "github"
        [connections.devops]
        target = "https://user:hunter2@feed.example"
        auth_type = "PAT"
        value = "hunter2"
        [feeds.default]
        sources = ["team", "modles"]
        claims = { curated = ["acme-*"] }
        [feeds.default.rules]
        deny = ["requests", "numpy<<3"]
        """)
    )

    assert set(found) == {
        "sorces",
        "server.prot",
        "server.processes",
        "sources.team.url",
        "sources.team.timeout",
        "sources.models.repository",
        "connections.devops.target",
        "connections.devops.value",
        "feeds.default.sources[1]",
        "feeds.default.claims.curated",
        "feeds.default.rules.deny[1]",
    }
    assert "did you mean sources?" in found["sorces"]
    assert "did you mean port?" in found["server.prot"]
    assert "did you mean models?" in found["feeds.default.sources[1]"]
    assert not any("hunter2" in text for text in found.values())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "30 s"), (600, "10 min"), (3600, "1h"), (5400, "1.5 h"), (2592000, "30 d"), (0, "0 s")],
)
def test_durations_are_a_number_and_a_unit(write: Write, seconds: float, text: str) -> None:
    source = load(write(SMALLEST.replace('url = "pip"', f'url = "pip"\nfresh = "{text}"'))).sources["public"]

    assert isinstance(source, SimpleSource)
    assert source.fresh == seconds


@pytest.mark.parametrize("text", ["10", '"10"', '"10 minutes"', '"-1 s"', '"1e3 s"', "true", '""', '"٣ s"'])
def test_what_is_no_duration_is_refused_with_the_right_form(write: Write, text: str) -> None:
    found = problems(write(SMALLEST.replace('url = "pip"', f'url = "pip"\nfresh = {text}')))

    assert '"10 min"' in found["sources.public.fresh"]


@pytest.mark.parametrize(
    ("size", "text"), [(512 * 1024, "512 KiB"), (50 * 1024**3, "50 GiB"), (1024**4 * 3 // 2, "1.5TiB")]
)
def test_sizes_are_a_number_and_a_binary_unit(write: Write, size: int, text: str) -> None:
    assert load(write(f'cache.size = "{text}"' + SMALLEST)).cache.size == size


@pytest.mark.parametrize("text", ['"50 GB"', "50", '"50"', '"many"'])
def test_what_is_no_size_is_refused_with_the_right_form(write: Write, text: str) -> None:
    assert "50 GiB" in problems(write(f"cache.size = {text}" + SMALLEST))["cache.size"]


def test_a_stale_window_shorter_than_the_fresh_one_is_none(write: Write) -> None:
    source = load(write(SMALLEST.replace('"pip"', '"pip"\nfresh = "2 h"'))).sources["public"]

    assert source.windows == Windows(fresh=7200, stale=7200, rescue=2592000, absent=60)


def test_what_is_listed_is_fresh_as_long_as_its_refresh_says(write: Write) -> None:
    config = load(write('[sources.shelf]\nkind = "directory"\npath = "wheels"\n' + SMALLEST))

    assert config.sources["shelf"].windows == Windows(fresh=2, stale=2, rescue=2592000, absent=2)


def test_clients_keep_pages_of_indexes_for_ten_minutes_and_of_private_places_not_at_all(write: Write) -> None:
    config = load(write('[sources.shelf]\nkind = "directory"\npath = "wheels"\n' + SMALLEST))

    assert config.sources["public"].client_max_age == 600
    assert config.sources["shelf"].client_max_age == 0


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ('{ env = "FEED_PAT" }', EnvSecret(env="FEED_PAT")),
        ('{ file = "/run/secrets/pat" }', FileSecret(file=Path("/run/secrets/pat"))),
        *(
            (f'{{ key_vault = "{url}" }}', KeyVaultSecret(key_vault=url))
            for url in (
                "https://my-vault.vault.azure.net/secrets/pat",
                "https://my-vault.vault.azure.net/secrets/pat/0123456789abcdef0123456789abcdef",
                "https://my-vault.vault.usgovcloudapi.net/secrets/pat",
                "https://localhost:1234/secrets/pat",
                "http://127.0.0.1:1234/secrets/pat",
            )
        ),
    ],
)
def test_a_secret_is_a_reference(
    write: Write, written: str, reference: EnvSecret | FileSecret | KeyVaultSecret
) -> None:
    config = load(write(CONNECTION.format(value=written) + SMALLEST))

    assert config.connections["devops"].value == reference


CONNECTION = '[connections.devops]\ntarget = "https://feed.example"\nauth_type = "PAT"\nvalue = {value}\n'


@pytest.mark.parametrize("written", ['"hunter2"', "1234", '["hunter2"]'])
def test_a_literal_secret_is_refused_with_the_three_right_ways_and_never_shown(write: Write, written: str) -> None:
    found = problems(write(CONNECTION.format(value=written) + SMALLEST))["connections.devops.value"]

    assert "literal" in found
    assert all(way in found for way in ("{ env = ", "{ file = ", "{ key_vault = "))
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("written", "path", "said"),
    [
        ('{ evn = "X" }', "value.evn", "did you mean env?"),
        ('{ env = "X", file = "y" }', "value", "exactly one key"),
        ("{}", "value", "exactly one key"),
        ('{ env = "not a name" }', "value.env", "environment variable"),
        ('{ key_vault = "https://vault.azure.net.evil.example/secrets/x" }', "value.key_vault", "not a key vault"),
        ('{ key_vault = "https://my-vault.vault.azure.net/keys/x" }', "value.key_vault", "/secrets/NAME"),
        ('{ key_vault = "http://my-vault.vault.azure.net/secrets/x" }', "value.key_vault", "not a key vault"),
    ],
)
def test_a_reference_of_another_shape_is_refused(write: Write, written: str, path: str, said: str) -> None:
    assert said in problems(write(CONNECTION.format(value=written) + SMALLEST))[f"connections.devops.{path}"]


@pytest.mark.parametrize(
    "url", ["http://localhost:8081/simple/", "http://127.0.0.1/", "http://[::1]:80/simple", "http://index.localhost/"]
)
def test_plain_http_will_do_on_this_machine(write: Write, url: str) -> None:
    source = load(write(SMALLEST.replace('"pip"', f'"{url}"'))).sources["public"]

    assert isinstance(source, SimpleSource)
    assert source.url == url


def test_plain_http_elsewhere_must_be_allowed_by_the_source(write: Write) -> None:
    text = SMALLEST.replace('"pip"', '"http://feed.example/simple/"')

    assert "allow_http" in problems(write(text))["sources.public.url"]
    assert load(write(text.replace("[feeds", "allow_http = true\n[feeds")))


def test_the_credential_of_a_source_that_allows_plain_http_may_go_there(write: Write) -> None:
    connection = CONNECTION.format(value='{ env = "X" }').replace("https:", "http:")
    source = SMALLEST.replace('"pip"', '"http://feed.example/simple/"\nallow_http = true')

    assert load(write(connection + source))
    assert "allow_http" in problems(write(connection + SMALLEST))["connections.devops.target"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:pass@feed.example/simple/", "[connections.NAME]"),
        ("https://token@feed.example/simple/", "[connections.NAME]"),
        ("https://feed.example/simple/?sv=1&sig=abc", "never literal"),
        ("https://feed.example/simple/#top", "fragment"),
        ("ftp://feed.example/simple/", "https:"),
        ("feed.example/simple", "https:"),
        ("https://feed.example:port/", "https:"),
        ("https:///simple/", "https:"),
        ("https://[::1/", "https:"),
    ],
)
def test_what_is_no_address_of_an_index_is_refused(write: Write, url: str, said: str) -> None:
    found = problems(write(SMALLEST.replace('"pip"', f'"{url}"')))["sources.public.url"]

    assert said in found
    assert "pass" not in found.replace("password", "")


@pytest.mark.parametrize(
    "name", ["simple", "files", "links", "legacy", "livez", "readyz", "metrics", "explain", "static"]
)
def test_a_feed_cannot_have_a_name_that_the_server_uses(write: Write, name: str) -> None:
    assert "reserved" in problems(write(SMALLEST.replace("feeds.default", f"feeds.{name}")))[f"feeds.{name}"]


@pytest.mark.parametrize("name", ["Team", "1st", "-x", '"a b"', "a_b", '"a.b"'])
def test_a_feed_cannot_have_a_name_that_is_no_part_of_an_address(write: Write, name: str) -> None:
    assert "address" in problems(write(SMALLEST.replace("feeds.default", f"feeds.{name}")))[f"feeds.{name}"]


def test_a_configuration_needs_a_feed_but_not_one_called_default(write: Write) -> None:
    assert load(write(SMALLEST.replace("feeds.default", "feeds.research"))).feeds.keys() == {"research"}
    assert "feeds" in problems(write('[sources.public]\nkind = "simple"\nurl = "pip"'))
    assert "feeds" in problems(write("feeds = {}"))
    assert "feeds" in problems(write("feeds = 1"))


TWO = """
[sources.curated]
kind = "directory"
path = "wheels"
[sources.public]
kind = "simple"
url = "pip"
[sources.unused]
kind = "directory"
path = "shelf"
[feeds.default]
sources = ["curated", "public"]
"""


def test_patterns_are_normalised_as_names_are(write: Write) -> None:
    feed = load(
        write(
            TWO
            + 'claims = { curated = ["Acme_SDK", "Acme.*"] }\ncombine = { Torch_Audio = ["curated", "public"] }\n'
            + 'rules = { allow = ["Acme_SDK >= 1,<3", "acme_*"], deny = [], min_age_exempt = ["A_B"] }'
        )
    ).feeds["default"]

    assert feed.claims == {"curated": ("acme-sdk", "acme-*")}
    assert feed.combine == {"torch-audio": ("curated", "public")}
    assert feed.rules.allow == ("acme-sdk<3,>=1", "acme-*")
    assert feed.rules.min_age_exempt == ("a-b",)


def test_an_empty_list_of_what_is_allowed_is_not_the_same_as_none(write: Write) -> None:
    assert load(write(TWO)).feeds["default"].rules.allow is None
    assert load(write(TWO + "rules.allow = []")).feeds["default"].rules.allow == ()


@pytest.mark.parametrize(
    ("line", "path", "said"),
    [
        ('claims = { unused = ["a"] }', "claims.unused", "not a source of this feed"),
        ('claims = { curated = ["numpy<3"] }', "claims.curated[0]", "not a name"),
        ('claims = { curated = ["Foo_Bar"], public = ["foo-bar"] }', "claims.public[0]", "already claimed by curated"),
        ('combine = { torch = ["curated", "unused"] }', "combine.torch[1]", "not a source of this feed"),
        ('combine = { torch = ["curated", "curated"] }', "combine.torch[1]", "twice"),
        ("combine = { torch = [] }", "combine.torch", "no source"),
        ('combine = { to_rch = ["public"], to-rch = ["curated"] }', "combine.to-rch", "same project"),
        ('rules.kinds = ["egg"]', "rules.kinds[0]", "wheel"),
        ('rules.deny = ["<3"]', "rules.deny[0]", "project's name"),
        ('rules.min_age = "soon"', "rules.min_age", "duration"),
        ("rules = 1", "rules", "table"),
    ],
)
def test_what_a_feed_says_must_agree(write: Write, line: str, path: str, said: str) -> None:
    assert said in problems(write(TWO + line))[f"feeds.default.{path}"]


@pytest.mark.parametrize(
    ("sources", "index", "said"),
    [('["curated", "pubic"]', "[1]", "public?"), ('["public", "public"]', "[1]", "twice"), ("[]", "", "in order")],
)
def test_a_feed_names_sources_that_exist_each_once(write: Write, sources: str, index: str, said: str) -> None:
    found = problems(write(TWO.replace('["curated", "public"]', sources)))

    assert said in found[f"feeds.default.sources{index}"]


def test_a_container_signs_in_in_one_of_many_ways(write: Write) -> None:
    def credential(written: str) -> object:
        account = "" if "connection_string" in written else 'account_url = "https://a.blob.core.windows.net"\n'
        source = f'[sources.c]\nkind = "azure-blob"\ncontainer = "wheels"\n{account}credential = {written}\n'
        read = load(write(source + SMALLEST)).sources["c"]
        assert isinstance(read, AzureBlobSource)
        return read.credential

    for name in ("default", "managed-identity", "workload-identity", "anonymous"):
        assert credential(f'"{name}"') == name
    for form in ("account_key", "sas", "connection_string"):
        assert getattr(credential(f'{{ {form} = {{ env = "X" }} }}'), form) == EnvSecret(env="X")
    assert isinstance(credential('{ connection_string = { env = "X" } }'), ConnectionString)
    assert getattr(credential('{ managed_identity = "abc" }'), "managed_identity", "") == "abc"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ('"sv=2024&sig=hunter2"', "credential"),
        ('{ account_key = "hunter2" }', "credential.account_key"),
        ('{ sas = "hunter2" }', "credential.sas"),
        ('{ key = "hunter2" }', "credential.key"),
    ],
)
def test_a_containers_secret_is_never_literal_and_never_shown(write: Write, written: str, path: str) -> None:
    source = f'[sources.c]\nkind = "azure-blob"\ncontainer = "wheels"\ncredential = {written}\n'

    found = problems(write(source + SMALLEST))

    assert set(found) == {f"sources.c.{path}", "sources.c.account_url"}
    assert not any("hunter2" in text for text in found.values())


def test_releases_are_of_one_repository_or_of_several(write: Write) -> None:
    def read(lines: str) -> tuple[str, ...]:
        source = load(write(f'[sources.g]\nkind = "github"\n{lines}\n' + SMALLEST)).sources["g"]
        assert isinstance(source, GithubSource)
        return source.every_repository

    assert read('repository = "my-org/models"') == ("my-org/models",)
    assert read('repositories = ["my-org/a", "my-org/b.c"]') == ("my-org/a", "my-org/b.c")


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("", "repository"),
        ('repository = "a/b"\nrepositories = ["a/c"]', "repository"),
        ("repositories = []", "repositories"),
        ('repository = "models"', "repository"),
        ('repository = "https://github.com/a/b"', "repository"),
        ('repositories = ["a/b", "c"]', "repositories[1]"),
    ],
)
def test_what_names_no_repository_is_refused(write: Write, lines: str, path: str) -> None:
    found = problems(write(f'[sources.g]\nkind = "github"\n{lines}\n' + SMALLEST))

    assert "owner/name" in found[f"sources.g.{path}"]


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ('auth_type = "PAT"', "value"),
        ('auth_type = "UsernamePassword"\nvalue = { env = "X" }', "username"),
        ('auth_type = "ManagedIdentity"', "resource"),
        ('auth_type = "None"\nvalue = { env = "X" }', "value"),
        ('auth_type = "Token"', "auth_type"),
        ('value = { env = "X" }', "auth_type"),
    ],
)
def test_a_connection_has_what_its_kind_of_credential_needs(write: Write, lines: str, path: str) -> None:
    connection = f'[connections.c]\ntarget = "https://feed.example"\n{lines}\n'

    assert set(problems(write(connection + SMALLEST))) == {f"connections.c.{path}"}


def test_the_resource_of_a_managed_identity_is_known_for_azure_devops(write: Write) -> None:
    connection = '[connections.c]\ntarget = "https://my-org.pkgs.visualstudio.com"\nauth_type = "ManagedIdentity"\n'

    assert load(write(connection + SMALLEST)).connections["c"].resource == "499b84ac-1321-427f-aa17-267ca6975798"


def test_a_workspace_is_named_by_its_resource_id(write: Write) -> None:
    path = "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/research"

    assert load(write(f'[workspaces.r]\nid = "{path}"\n' + SMALLEST)).workspaces["r"].id == path
    assert "workspaces.r.id" in problems(write('[workspaces.r]\nid = "research"\n' + SMALLEST))


@pytest.mark.parametrize(
    ("lines", "path", "said"),
    [
        ('kind = "simpel"\nurl = "pip"', "kind", "did you mean simple?"),
        ('url = "pip"', "kind", "directory"),
        ('kind = "simple"', "url", "missing"),
        ('kind = "simple"\nurl = "pip"\nsimple = 1', "simple", "unknown key"),
        ('kind = "simple"\nurl = "pip"\noffline = "yes"', "offline", "true or false"),
        ('kind = "directory"\npath = ""', "path", "path"),
        ('kind = "directory"\npath = "x"\ntimeout = "1 s"', "timeout", "unknown key"),
        ('kind = "azure-blob"\naccount_url = "https://a.example"\ncontainer = "No"', "container", "small letters"),
    ],
)
def test_what_is_wrong_in_a_source_is_named_by_its_key(write: Write, lines: str, path: str, said: str) -> None:
    found = problems(write(f"[sources.x]\n{lines}\n" + SMALLEST))

    assert set(found) == {f"sources.x.{path}"}
    assert said in found[f"sources.x.{path}"]


def test_names_that_need_quotes_are_shown_with_them(write: Write) -> None:
    assert 'sources."a b"' in problems(write(SMALLEST.replace("public", '"a b"', 1)))


def test_processes_are_a_number_or_one_for_each_core(write: Write) -> None:
    assert load(write("server.processes = 4" + SMALLEST)).server.processes == 4
    assert load(write('server.processes = "auto"' + SMALLEST)).server.processes == "auto"
    for wrong in ("0", '"4"', "1.5", "true"):
        assert "auto" in problems(write(f"server.processes = {wrong}" + SMALLEST))["server.processes"]


def test_the_public_address_ends_with_a_slash(write: Write) -> None:
    config = load(write('server.public_url = "https://pypi.corp.example/index"' + SMALLEST))

    assert config.server.public_url == "https://pypi.corp.example/index/"


def test_a_file_that_is_not_there_is_one_problem_with_a_remedy(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"

    assert "--config" in problems(missing)[str(missing)]
    assert "cannot be read" in problems(tmp_path)[str(tmp_path)]


def test_a_mistake_of_syntax_is_named_by_line_and_column(write: Write) -> None:
    assert "TOML" in problems(write("[server]\nport 8080"))["line 2, column 6"]
    assert problems(write("[server]\nhost = '"))


def test_a_file_that_is_no_text_is_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    file = tmp_path / "wheelgate.toml"

    file.write_bytes(b"\xef\xbb\xbf" + SMALLEST.encode())
    assert load(file)

    file.write_bytes("[feeds]".encode("utf-16"))
    assert "UTF-8" in problems(file)[str(file)]


def test_a_configuration_does_not_change(write: Write) -> None:
    config = load(write(SMALLEST))

    with pytest.raises(ValueError, match="frozen"):
        config.server.port = 1
    assert isinstance(config, Config)


def test_a_path_with_a_nul_in_it_is_a_mistake(write: Write) -> None:
    """The system's own words for it would come later, and from nowhere."""
    found = problems(write(SMALLEST + '\n[cache]\ndirectory = "a\\u0000b"\n'))

    assert "no name of a file holds a NUL" in found["cache.directory"]
