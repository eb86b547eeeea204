"""A credential never leaves its place, whatever the URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from proxy.rules.credentials import choose, covers

LABEL = st.text(alphabet="abcxyz019-", min_size=1, max_size=6).filter(lambda text: text.strip("-") == text)
HOSTS = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
SEGMENT = st.text(
    st.characters(exclude_characters="/\\", exclude_categories=["C", "Z"]), min_size=1, max_size=6
).filter(lambda text: not text.startswith(".") and "%" not in text)
PATHS = st.lists(SEGMENT, max_size=4).map(lambda parts: "".join(f"/{quote(part, safe='')}" for part in parts))
SCHEMES = st.sampled_from(["http", "https"])
PORTS = st.sampled_from(["", ":80", ":443", ":8080"])
PLACES = st.tuples(SCHEMES, HOSTS, PORTS)
NOISE = st.text(alphabet="ab/.%2eE5cfF;@:\\?#[] \t", max_size=20)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Read the place as the HTTP client does."""
    parsed = URL(url)
    return parsed.scheme, parsed.host, parsed.port


@given(place=PLACES, prefix=PATHS, rest=PATHS)
def test_what_is_below_a_target_is_covered_by_all_its_segments(
    place: tuple[str, str, str], prefix: str, rest: str
) -> None:
    scheme, host, port = place
    target = f"{scheme}://{host}{port}{prefix}"

    length = covers(target, target + rest)

    assert length == prefix.count("/")


@given(one=PLACES, other=PLACES, path=PATHS)
def test_another_scheme_host_or_port_is_never_covered(
    one: tuple[str, str, str], other: tuple[str, str, str], path: str
) -> None:
    target, url = ("{}://{}{}".format(*place) for place in (one, other))

    covered = covers(target, url + path) is not None

    assert covered == (origin(target) == origin(url))


@given(host=HOSTS, noise=NOISE)
def test_noise_after_a_host_never_moves_its_credential_to_where_the_client_would_not_go(host: str, noise: str) -> None:
    """Our reading of a URL and the HTTP client's must agree before a credential goes out."""
    url = f"https://{host}{noise}"

    if covers(f"https://{host}", url) is not None:
        assert origin(url) == ("https", host, 443)


@given(segment=SEGMENT, noise=NOISE)
def test_noise_in_a_path_never_escapes_a_target(segment: str, noise: str) -> None:
    prefix = "/" + quote(segment, safe="")
    url = f"https://a.example{prefix}{noise}"

    if covers(f"https://a.example{prefix}", url) is not None:
        assert urlsplit(url).hostname == "a.example"
        # The client resolves dots; what is left must still be below the target.
        first = URL(url).path.split("/")[1]
        assert first == segment


@given(target=NOISE, url=NOISE)
def test_nonsense_is_never_covered(target: str, url: str) -> None:
    assert covers(target, url) is None


@dataclass(frozen=True)
class Held:
    target: str
    configured: bool


@given(place=PLACES, path=PATHS, lengths=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6))
def test_what_is_chosen_covers_and_nothing_covers_better(
    place: tuple[str, str, str], path: str, lengths: list[tuple[int, bool]]
) -> None:
    root = "{}://{}{}".format(*place)
    segments = path.split("/")
    held = [Held(root + "/".join(segments[: length + 1]), configured) for length, configured in lengths]

    chosen = choose(root + path, held)

    ranks = [(covers(one.target, root + path), one.configured) for one in held]
    assert (chosen is None) is (not held)
    if chosen is not None:
        assert (covers(chosen.target, root + path), chosen.configured) == max(ranks)


@given(organisation=LABEL, path=PATHS, suffix=PATHS)
def test_the_two_spellings_of_azure_devops_cover_each_other(organisation: str, path: str, suffix: str) -> None:
    old = f"https://{organisation}.pkgs.visualstudio.com{path}"
    new = f"https://pkgs.dev.azure.com/{organisation.upper()}{path}"

    assert covers(old, new + suffix) == covers(new, old + suffix) == covers(new, new + suffix)
