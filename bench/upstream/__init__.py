"""The fake upstream: pages, files of any size, and a container, late, slow, cut off or silent as its URLs say.

    /PROFILE/simple/PROJECT/             a page, HTML or JSON, plain or gzip, with an ETag
    /PROFILE/files/PROJECT/FILENAME      a file; ranges
    /PROFILE/files/…/FILENAME.metadata   its core metadata
    /ACCOUNT/wheels?comp=list            a container of 100,000 blobs
    /stats                               by profile: requests, those for files, and bytes of files

PROFILE is `plain`, or words joined with `_`: `l30` 30 ms until the answer begins, `r100` 100 MB/s for each
connection, `nometa` without core metadata, `cut50` bodies break off after 50 %, `hang` no answer at all.
PROJECT is `small-N` (23 files), `large-N` (4,000 files), `file-BYTES-N` (one file of that size) or `part-NNN`, one of
the 140 real wheels of `wheels.py`.
"""
