"""Clients that behave: pages and files, known and unknown, whole and in part, and what does not exist."""

from __future__ import annotations

import hashlib

from bench.endurance import checks
from bench.endurance.ask import Answer, Asking
from bench.endurance.goods import file
from bench.upstream.contents import JSON

_FORMS = (JSON, "text/html", "application/vnd.pypi.simple.v1+html", "")
_CODINGS = ("identity", "gzip", "zstd", "gzip, zstd;q=0.5", "")
_OK, _PARTIAL, _UNCHANGED, _FORBIDDEN, _ABSENT, _BEYOND = 200, 206, 304, 403, 404, 416
_WHOLE = frozenset({_OK})
_PART = frozenset({_PARTIAL})
_CALM = 30.0
_SHELVES = 10


def _headers(accept: str, codings: str) -> dict[str, str]:
    return {"Accept": accept, "Accept-Encoding": codings or "identity"} if accept else {}


async def _page(
    asking: Asking, kind: str, path: str, project: str, headers: dict[str, str], *, depends: bool = True
) -> tuple[Answer, dict[str, str]] | None:
    """Ask for a page and check it."""
    expect = frozenset({_OK, _UNCHANGED} if "If-None-Match" in headers else {_OK})
    answer = await asking.ask(kind, path, headers, expect=expect, depends=depends)
    if answer is None or answer.status != _OK:
        return None
    world = asking.world
    try:
        body = checks.decoded(answer.body, answer.headers.get("Content-Encoding", ""))
        found = checks.listed(body, answer.headers["Content-Type"])
        fault = checks.wrong_page(project, found, world.start, now=answer.ended)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a page is the finding
        fault, found, body = f"unreadable: {error!r}", {}, b""
    if fault is None and path.startswith("/aged/"):
        is_calm = not world.faults.during(answer.asked, answer.ended, linger=_CALM)
        fault = checks.wrong_age(
            project, len(found), world.start, min_age=world.min_age, now=answer.ended, is_calm=is_calm
        )
    if fault is not None:
        asking.note(kind, path, f"wrong page: {fault}", answer.asked, depends=False)
        return None
    world.tally.checked["pages"] += 1
    media_type = answer.headers["Content-Type"]
    return answer, checks.core_metadata(body, media_type)


async def cold_page(asking: Asking) -> None:
    """Ask for a page that nobody has asked for; now and then its core metadata, and a small file."""
    project = asking.world.new("page")
    accept, codings = asking.world.chance.choice(_FORMS), asking.world.chance.choice(_CODINGS)
    path = f"/simple/{project}/"
    found = await _page(asking, "cold page", path, project, _headers(accept, codings))
    if found is None:
        return
    answer, described = found
    asking.world.pages.append((path, accept, codings, answer.headers["ETag"]))
    if described and asking.world.is_heads():
        filename, digest = asking.world.chance.choice(list(described.items()))
        await _metadata(asking, project, filename, digest)
    if asking.world.is_heads():
        known = file(project, asking.world.chance.randrange(8))
        await asking.ask("cold file", f"/files/{project}/{known.filename}", sha256=known.sha256)


async def _metadata(asking: Asking, project: str, filename: str, digest: str) -> None:
    answer = await asking.ask("metadata", f"/files/{project}/{filename}.metadata")
    if answer is not None and answer.status == _OK:
        body = checks.decoded(answer.body, answer.headers.get("Content-Encoding", ""))
        if hashlib.sha256(body).hexdigest() != digest:
            asking.note("metadata", filename, "not what the page says of it", answer.asked, depends=False)
        asking.world.tally.checked["metadata"] += 1


async def huge_page(asking: Asking) -> None:
    """Ask for a page of 3,000 files, one of five."""
    project = f"huge-{asking.world.chance.randrange(5)}"
    headers = _headers(asking.world.chance.choice(_FORMS), asking.world.chance.choice(_CODINGS))
    await _page(asking, "huge page", f"/simple/{project}/", project, headers)


async def warm_page(asking: Asking) -> None:
    """Ask for pages that have been answered before, some conditionally: no fault of the upstream may show."""
    for _ in range(10):
        if not asking.world.pages:
            return
        path, accept, codings, etag = asking.world.chance.choice(asking.world.pages)
        headers = _headers(accept, codings)
        if asking.world.is_heads():
            headers["If-None-Match"] = etag
        await _page(asking, "warm page", path, path.split("/")[2], headers, depends=False)


async def bare_page(asking: Asking) -> None:
    """Ask for a project without published core metadata: what the page advertises must be had, and be right."""
    is_new = asking.world.is_heads()
    project = (
        asking.world.new("bare")
        if is_new
        else f"bare-{asking.world.chance.randint(1, asking.world.numbers['bare'] + 1)}"
    )
    found = await _page(asking, "bare page", f"/simple/{project}/", project, _headers(JSON, "gzip"))
    if found is not None and found[1]:
        await _metadata(asking, project, *asking.world.chance.choice(list(found[1].items())))
    known = file(project, asking.world.chance.randrange(5))
    await asking.ask("cold file", f"/files/{project}/{known.filename}", sha256=known.sha256)


async def young_page(asking: Asking) -> None:
    """Ask for a project whose files come of age while we look, under a rule and without one."""
    project = f"young-{asking.world.chance.randrange(8)}"
    feed = asking.world.chance.choice(("/aged", "/aged", ""))
    await _page(
        asking, "young page", f"{feed}/simple/{project}/", project, _headers(JSON, asking.world.chance.choice(_CODINGS))
    )


async def shelf_page(asking: Asking) -> None:
    """Ask for a project of a folder whose files come and go, and one of its files."""
    project = f"shelf-{asking.world.chance.randrange(_SHELVES)}"
    path = f"/simple/{project}/"
    here = frozenset({_OK, _ABSENT})
    answer = await asking.ask("shelf", path, _headers(JSON, "identity"), expect=here, depends=False)
    if answer is None or answer.status != _OK:
        return
    found = checks.listed(answer.body, answer.headers["Content-Type"])
    fault = checks.wrong_page(project, found, asking.world.start, now=answer.ended)
    if fault is not None:
        asking.note("shelf", path, f"wrong page: {fault}", answer.asked, depends=False)
    for filename, digest in list(found.items())[:2]:
        # It may be taken away between its page and itself.
        await asking.ask("shelf", f"/files/{project}/{filename}", expect=here, depends=False, sha256=digest)


async def cold_big(asking: Asking) -> None:
    """Ask for a big file that nobody has asked for."""
    number = asking.world.numbers["big"] = asking.world.numbers["big"] + 1
    known = file(f"big-{number}", 0)
    path = f"/files/big-{number}/{known.filename}"
    answer = await asking.ask("cold big file", path, sha256=known.sha256)
    if answer is not None and answer.status == _OK:
        asking.world.bigs.append(number)


async def warm_big(asking: Asking) -> None:
    """Ask for a big file that was here lately; it may have been evicted since."""
    if asking.world.bigs:
        project = f"big-{asking.world.chance.choice(asking.world.bigs)}"
        known = file(project, 0)
        await asking.ask("warm big file", f"/files/{project}/{known.filename}", sha256=known.sha256)


async def ranges(asking: Asking) -> None:
    """Ask for parts of big files, known and unknown, under conditions that hold and do not."""
    world = asking.world
    number = (
        asking.world.chance.choice(world.bigs) if world.bigs and asking.world.is_heads() else world.numbers["big"] + 1
    )
    known = file(f"big-{number}", 0)
    path = f"/files/big-{number}/{known.filename}"
    start = asking.world.chance.randrange(known.size - 100_000)
    length = asking.world.chance.choice((1, 1000, 64_000))
    place, wanted = (start, start + length), {"Range": f"bytes={start}-{start + length - 1}"}
    match asking.world.chance.randrange(6):
        case 0 | 1:
            await _part(asking, path, known.size, place, wanted)
        case 2:
            await _part(asking, path, known.size, (known.size - length, known.size), {"Range": f"bytes=-{length}"})
        case 3:
            asked = {"Range": f"bytes={known.size}-"}
            await asking.ask("range", path, asked, expect=frozenset({_BEYOND}))
        case 4:
            asked = {"Range": "bytes=0-99", "If-Range": '"another"'}
            if known.size < 3_000_000:  # noqa: PLR2004 - the whole file comes
                await asking.ask("range", path, asked, sha256=known.sha256)
        case _:
            await _part(asking, path, known.size, place, wanted | {"If-Range": f'"{known.sha256}"'})


async def _part(asking: Asking, path: str, size: int, place: tuple[int, int], headers: dict[str, str]) -> None:
    answer = await asking.ask("range", path, headers, expect=_PART)
    if answer is None or answer.status != _PARTIAL:
        return
    if answer.body != checks.part(size, path.rpartition("/")[2], *place):
        # Short ranges far ahead are not covered by any digest, so a wrong upstream is a reason.
        asking.note("range", path, f"wrong bytes for {headers}", answer.asked, depends=True)
        return
    asking.world.tally.checked["parts"] += 1


async def absent(asking: Asking) -> None:
    """Ask for what does not exist, and what cannot be asked."""
    gone = frozenset({_ABSENT})
    number = asking.world.chance.randrange(1_000_000)
    local = {
        "/simple/%2e%2e/": gone,
        "/nowhere": gone,
        "/files/page-1/page_1-1.99999-py3-none-any.whl": gone,
        f"/simple/Page_{number}/": frozenset({301}),
        "/simple/page-1": frozenset({301}),
    }
    path = asking.world.chance.choice(list(local))
    await asking.ask("absent", path, expect=local[path], depends=path.startswith("/files/"))
    await asking.ask("absent", f"/simple/nothing-{number}/", expect=gone)
    await asking.ask("absent", f"/files/nothing-{number}/nothing_{number}-1.0.tar.gz", expect=gone)
    await asking.ask("absent", "/simple/page-1/", {"Accept": "image/png"}, expect=frozenset({406}), depends=False)
    await asking.ask("absent", "/simple/page-1/", method="POST", expect=frozenset({405}), depends=False)


async def others(asking: Asking) -> None:
    """Ask for lists, explanations, and what operators ask."""
    for path in ("/", "/livez", "/readyz", "/metrics", "/links/"):
        await asking.ask("others", path, expect=_WHOLE, depends=False)
    await asking.ask("others", "/simple/", _headers(asking.world.chance.choice(_FORMS), "gzip"), expect=_WHOLE)
    await asking.ask("others", "/explain/page-1", expect=_WHOLE)
