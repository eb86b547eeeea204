"""Mirrors in order, under claims and rules: what clients see.

`feed` makes *the* page of a project, `files` finds or fetches the bytes behind a file of it, `sidecars`
does the same for core metadata and provenance, `explain` says why all of it is as it is.
"""

from proxy.feed.feed import Entry, Feed, FeedPage

__all__ = ["Entry", "Feed", "FeedPage"]
