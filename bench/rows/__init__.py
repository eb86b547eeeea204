"""The rows of what must be reached: each a function from the stage to findings, in order of their numbers."""

from __future__ import annotations

from bench.model import Row
from bench.rows import blobs, cold, faults, files, growth, judging, processes, resolution, start, warm

ROWS = (
    Row(1, "Warm small page", warm.small_pages),
    Row(2, "Warm 304", warm.unchanged_pages),
    Row(3, "Warm page of 4,000 files", warm.large_pages),
    Row(4, "Warm core metadata and small files", warm.small_files),
    Row(5, "Warm large files", files.warm_files),
    Row(6, "Cold small page", cold.small_pages),
    Row(7, "Cold page of 4,000 files", cold.large_pages),
    Row(8, "Cold file", files.cold_files),
    Row(9, "Cold 500 MB file without a cap", files.uncapped),
    Row(10, "Many clients, one cold file", files.herds),
    Row(11, "Two processes", processes.two_processes),
    Row(12, "Memory of a process", processes.memory),
    Row(13, "500 half-open clients", processes.half_open_clients),
    Row(14, "uv resolves 140 projects", resolution.with_metadata),
    Row(15, "The same, upstream without metadata", resolution.without_metadata),
    Row(16, "A container of 100,000 blobs", blobs.container),
    Row(17, "Expired page, upstream gone", faults.expired_pages),
    Row(18, "Start", start.starts),
    Row(19, "As everything else grows", growth.growth),
    Row(20, "Judging a page of 20,000 files", judging.judging),
)
