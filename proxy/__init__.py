"""Wheelgate: a private Python package index that merges, caches and judges other places.

`proxy/README.md` is the map of this package.
"""
