"""One project of a large container, without listing all of it.

The service lists by prefix. What that finds:

- files side by side, and files in folders named like the project: all of them (`azure_spelling.py`);
- a mirroring tool's tree: the project's page, and the blobs that it names;
- files in folders of other names: all, where a listing has shown which folders those are.

A small container is listed instead, which costs no more and misses nothing. Of a large one that was never listed,
what is found is given; that nothing is found proves nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from proxy.errors import FileGone
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName
from proxy.simple.tolerance import PageUnreadable
from proxy.sources.azure_account import Account
from proxy.sources.azure_layouts import AZURE_ML, TREES, TreePage, best_pages, each_once, read_file, read_tree_page
from proxy.sources.azure_listing import Blob, ListedBlobs
from proxy.sources.azure_spelling import Beginning, lengthen
from proxy.sources.azure_tree import complete, read_tree_files

T = TypeVar("T")

SMALL = 10_000
"""Blobs up to which a container is listed instead: two requests."""
MOST_PLACES = 8
"""Folders of other names up to which looking into each of them is cheaper than a listing."""
MOST_FILES = 300
"""Files of a tree's page up to which each is asked for."""
LARGEST_PAGE = 64 << 20
"""Bytes of a page of a mirroring tool's tree; the largest projects have 20 MiB of JSON."""

_GLANCE = 500
_MOST_ROUNDS = 40
_MOST_ANSWERS = 20
_MOST_BEGINNINGS = 64
_MORE = re.compile(rb"<NextMarker>[^<]+</NextMarker>")
_TURN = 100


class Shape(msgspec.Struct, frozen=True, array_like=True):
    """What a listing has shown of how a container is laid out."""

    blobs: int
    places: tuple[str, ...] | None
    """Folders whose names say nothing of what is in them; `None`: too many, or files that no prefix finds."""
    trees: tuple[str, ...]
    """Folders in which a mirroring tool's tree begins."""


async def shape_of(
    root: str,
    projects: Mapping[NormalizedName, Sequence[File]],
    pages: Collection[tuple[str, NormalizedName]],
    *,
    blobs: int,
) -> Shape:
    """Give the shape of what is listed; `root` is the source's folder, `pages` are those of trees."""
    places = {root}
    trees = tuple(sorted({tree for tree, _ in pages}))
    has_unlisted = False
    in_trees = tuple(f"{tree}packages/" for tree in trees)
    for number, (project, files) in enumerate(projects.items()):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        if len(places) > MOST_PLACES:
            continue
        for file in files:
            folder = file.url[: -len(file.filename)]
            if folder == root:
                continue
            if in_trees and folder.startswith(in_trees):
                has_unlisted = has_unlisted or not any((tree, project) in pages for tree in trees)
            elif normalize(folder[len(root) :].partition("/")[0]) != project:
                places.add(folder)
    # Files of a tree that no page lists are found by nothing but a listing.
    is_regular = len(places) <= MOST_PLACES and not has_unlisted
    return Shape(blobs, tuple(sorted(places)) if is_regular else None, trees)


async def find(account: Account, root: str, project: NormalizedName, shape: Shape | None) -> tuple[File, ...] | None:
    """Give the files of `project` in a container of that shape; `None` where that takes a listing.

    Raises: SourceError.
    """
    if shape is not None:
        if shape.blobs <= SMALL or shape.places is None:
            return None
        places, trees = shape.places, shape.trees
    else:
        guess = await _guess(account, root)
        if guess is None:
            return None
        places, trees = guess
    found = await together(
        *(_in_place(account, place, project) for place in places),
        *(_in_tree(account, root, tree, project) for tree in trees),
    )
    files: list[File] = []
    for some in found:
        if some is None:
            return None
        files += some
    in_trees = tuple(f"{tree}packages/" for tree in trees)
    of_pages = {file.url for some in found[len(places) :] for file in some or ()}
    kept = (file for file in files if file.url in of_pages or not in_trees or not file.url.startswith(in_trees))
    return each_once(kept) if files or shape is not None else None


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Await all of it at once; raise the first error as it is, and end the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _guess(account: Account, root: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Give the places and trees of a container that was never listed; `None` where one answer lists it all."""
    whole, top = await together(
        account.list_raw(prefix=root), account.list_raw(prefix=root, delimiter="/", most=_GLANCE)
    )
    if _MORE.search(b"".join(whole[-2:])[-4096:]) is None:
        return None
    folders = set((await account.read_list(top)).folders)
    trees = [root + tree for tree in TREES if f"{root}{tree or 'simple/'}" in folders]
    places = [root, *([root + AZURE_ML] if root + AZURE_ML.partition("/")[0] + "/" in folders else [])]
    return tuple(places), tuple(trees)


async def _in_place(account: Account, place: str, project: NormalizedName) -> list[File] | None:
    """Give the project's files whose names, behind `place`, begin like its own, or are in folders that do."""
    files: list[File] = []
    beginnings = lengthen(Beginning("", 0), project)
    for _ in range(_MOST_ROUNDS):
        if not beginnings:
            return files
        if len(beginnings) > _MOST_BEGINNINGS:
            return None
        answers = await together(
            *(
                _glance(account, place + beginning.text, most=None if beginning.is_whole(project) else _GLANCE)
                for beginning in beginnings
            )
        )
        longer: list[Beginning] = []
        for beginning, listed in zip(beginnings, answers, strict=True):
            if not listed.marker:
                files += _files_of(project, listed.blobs)
            elif beginning.is_whole(project):
                rest = await _read_on(account, place + beginning.text, listed)
                if rest is None:
                    return None
                files += _files_of(project, rest)
            else:
                longer += lengthen(beginning, project)
        beginnings = longer
    return None


async def _glance(account: Account, prefix: str, *, most: int | None = _GLANCE) -> ListedBlobs:
    """Give the first answer that has blobs, or the last one: an answer may be empty and yet not the last."""
    listed = await account.list_blobs(prefix=prefix, most=most)
    for _ in range(_MOST_ANSWERS):
        if listed.blobs or not listed.marker:
            break
        listed = await account.list_blobs(prefix=prefix, marker=listed.marker, most=most)
    return listed


async def _read_on(account: Account, prefix: str, listed: ListedBlobs) -> list[Blob] | None:
    blobs = [*listed.blobs]
    for _ in range(_MOST_ANSWERS):
        if not listed.marker:
            return blobs
        listed = await account.list_blobs(prefix=prefix, marker=listed.marker)
        blobs += listed.blobs
    return None


def _files_of(project: NormalizedName, blobs: Iterable[Blob]) -> list[File]:
    found = (read_file(blob) for blob in blobs)
    return [each[1] for each in found if each is not None and each[0] == project]


async def _in_tree(account: Account, root: str, tree: str, project: NormalizedName) -> list[File] | None:
    """Give the files that the project's page names and that are there."""
    prefixes = (f"simple/{project}/", f"simple/{project[0]}/{project}/", f"json/{project}", f"pypi/{project}/")
    answers = await together(*(_glance(account, tree + prefix) for prefix in prefixes))
    pages = (read_tree_page(blob, root) for listed in answers for blob in listed.blobs)
    page = best_pages(page for page in pages if page is not None).get((tree, project))
    if page is None:
        return None if any(listed.marker and not listed.blobs for listed in answers) else []
    try:
        body = await account.read_blob(page.blob, limit=LARGEST_PAGE)
        said = await asyncio.to_thread(read_tree_files, body, page)
    except (FileGone, PageUnreadable):
        return None
    if len(said) > MOST_FILES:
        return None
    return await _there(account, page, said)


async def _there(account: Account, page: TreePage, said: list[File]) -> list[File] | None:
    names = sorted({entry.url for entry in said if entry.url.startswith(page.files_at)})
    answers = await together(*(_glance(account, name) for name in names))
    # What begins with a name comes first where it is the name.
    found = [
        next((blob for blob in listed.blobs if blob.name == name), None)
        for name, listed in zip(names, answers, strict=True)
    ]
    if any(blob is None and listed.marker for blob, listed in zip(found, answers, strict=True)):
        return None
    return complete(_files_of(page.project, (blob for blob in found if blob is not None)), said)
