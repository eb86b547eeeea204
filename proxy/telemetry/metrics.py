"""What an operator counts, in the words of Prometheus.

Where many processes serve, the library counts in mapped files in one folder, and each of them tells the sums.
What a process occupies is read when it is asked for, of all that serve.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 20.0)


class Metrics:
    """The instruments of one server."""

    def __init__(self) -> None:
        """Register all instruments."""
        self._registry = registry = CollectorRegistry()
        self._of_sources: dict[tuple[str, int | str], tuple[Counter, Histogram]] = {}
        self._of_routes: dict[tuple[str, int], tuple[Counter, Histogram, Counter]] = {}
        self.requests = Counter(
            "wheelgate_requests", "Requests answered, by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "wheelgate_request_seconds",
            "Seconds until the answer was sent, by route.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.upstream = Counter(
            "wheelgate_upstream_requests",
            "Requests sent to sources, by source and outcome (a status, or an error's name).",
            ["source", "outcome"],
            registry=registry,
        )
        self.upstream_seconds = Histogram(
            "wheelgate_upstream_request_seconds",
            "Seconds until a source's headers came, by source.",
            ["source"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.cache = Counter(
            "wheelgate_cache",
            "Files, by source and whether they were on this machine (hit) or had to be fetched (miss).",
            ["source", "result"],
            registry=registry,
        )
        self.sent = Counter("wheelgate_sent_bytes", "Bytes of bodies sent to clients.", ["route"], registry=registry)
        self.received = Counter(
            "wheelgate_received_bytes", "Bytes of files received, by source.", ["source"], registry=registry
        )
        self.downloads = Gauge(
            "wheelgate_downloads_in_flight",
            "Files being fetched, by source.",
            ["source"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.tasks = Gauge(
            "wheelgate_tasks",
            "Tasks of the event loop: one for each connection, and one for each thing under way beside them.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._register_warnings(registry)

    def _register_warnings(self, registry: CollectorRegistry) -> None:
        """Register what somebody should be woken by."""
        self.credential_expires = Gauge(
            "wheelgate_credential_expires_timestamp_seconds",
            "When a credential ends, in seconds since the epoch, by connection; of those that tell.",
            ["connection"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.rules_stale = Gauge(
            "wheelgate_rules_stale",
            "1 where the rules that were last written, or their database, cannot be used; by feed.",
            ["feed"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.refused = Counter(
            "wheelgate_refused", "Requests that a rule refused, by feed and rule.", ["feed", "rule"], registry=registry
        )
        self.pin_alarms = Counter(
            "wheelgate_pin_alarms",
            "Files whose bytes changed under their name, by source: each is refused.",
            ["source"],
            registry=registry,
        )
        self.pins_unusable = Gauge(
            "wheelgate_pins_unusable",
            "1 where the pin ledger cannot be read or written.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def tell_of_pins(self, is_out_of_order: bool) -> None:
        """Note whether the pin ledger can be used."""
        self.pins_unusable.set(is_out_of_order)

    def count_pin_alarm(self, source: str) -> None:
        """Count a file whose bytes changed under its name."""
        self.pin_alarms.labels(source).inc()

    def observe_upstream(self, source: str, outcome: int | str, seconds: float) -> None:
        """Count one request to a source."""
        asked, waited = self._of_sources.get((source, outcome)) or self._remember_source(source, outcome)
        asked.inc()
        waited.observe(seconds)

    def observe_request(self, route: str, status: int, seconds: float, sent: int) -> None:
        """Count one answered request."""
        answered, took, bytes_sent = self._of_routes.get((route, status)) or self._remember_route(route, status)
        answered.inc()
        took.observe(seconds)
        if sent:
            bytes_sent.inc(sent)

    # The library looks a label up under a lock and by its text: as long as the counting itself takes.
    def _remember_source(self, source: str, outcome: int | str) -> tuple[Counter, Histogram]:
        found = self.upstream.labels(source, str(outcome)), self.upstream_seconds.labels(source)
        return self._of_sources.setdefault((source, outcome), found)

    def _remember_route(self, route: str, status: int) -> tuple[Counter, Histogram, Counter]:
        found = self.requests.labels(route, str(status)), self.seconds.labels(route), self.sent.labels(route)
        return self._of_routes.setdefault((route, status), found)

    def absorb(self, counts: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Count requests that were answered from the shelf: by route and status, how many and how many bytes."""
        for (route, status), (number, sent) in counts.items():
            self.requests.labels(route, str(status)).inc(number)
            if sent:
                self.sent.labels(route).inc(sent)

    def observe_tasks(self) -> None:
        """Take note of how many tasks there are now."""
        self.tasks.set(len(asyncio.all_tasks()))

    def render(self) -> bytes:
        """Give all of it in Prometheus' text format; that of all processes, where there are many."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is None:
            ours = CollectorRegistry()
            ProcessCollector(registry=ours)
            return generate_latest(self._registry) + generate_latest(ours)
        sums = CollectorRegistry()
        MultiProcessCollector(sums, folder)  # type: ignore[no-untyped-call]
        sums.register(_Processes(Path(folder)))
        return generate_latest(sums)


class _Processes(Collector):
    """What the library's own collector says of one process, summed over all that serve."""

    def __init__(self, folder: Path) -> None:
        """Know the processes by the files in which they count what only counts while they live."""
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Give the sums; of the moments at which they started, the last one."""
        sums: dict[str, Metric] = {}
        for pid in sorted({path.stem.rpartition("_")[2] for path in self._folder.glob("gauge_live*_*.db")}):
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                _add(sums.setdefault(metric.name, metric), metric)
        return sums.values()


def _add(total: Metric, metric: Metric) -> None:
    if total is metric:
        return
    is_moment = metric.name.endswith("_start_time_seconds")
    for place, (one, other) in enumerate(zip(total.samples, metric.samples, strict=True)):
        value = max(one.value, other.value) if is_moment else one.value + other.value
        total.samples[place] = one._replace(value=value)
