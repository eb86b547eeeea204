"""One source as remembered on this machine: what it says of a project, now.

`base` has what all mirrors promise, `paged` remembers page by page, `listed` remembers a whole
listing, `inspector` adds what only the bytes of a file can tell.
"""

from proxy.mirror.base import Known, Mirror
from proxy.mirror.listed import ListedMirror
from proxy.mirror.paged import PagedMirror

__all__ = ["Known", "ListedMirror", "Mirror", "PagedMirror"]
