"""Serves /metrics for Prometheus: verdicts, latency, drift, outputs, temperature and disk.

The alert rules in deploy/prometheus-rules.yml go with these names.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIServer

from edgeseg.machine.state import StateReader
from edgeseg.packages.extras import require
from edgeseg.station.following.current import folder_of
from edgeseg.station.following.state import read_following
from edgeseg.station.inspection import BUCKETS
from edgeseg.station.outputs.address import cannot_listen, host_port
from edgeseg.station.outputs.base import Indicator, OutputContext, StationState
from edgeseg.station.rates import RateLimit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RATE, PATIENCE = (5, 10), 2.0
"""Scrapes a second and at once of an address; seconds that one may wait for its turn."""


@dataclass(frozen=True, kw_only=True)
class PrometheusSettings:
    """Where the metrics are served."""

    address: str = "127.0.0.1:9108"
    """HOST:PORT; the metrics have no password: leave other hosts to a proxy that asks for one."""


class PrometheusOutput(Indicator):
    """Keeps the newest state, and serves it when it is asked."""

    Settings = PrometheusSettings
    settings: PrometheusSettings

    def __init__(self, settings: PrometheusSettings, context: OutputContext) -> None:
        super().__init__(settings, context)
        self._state = StationState()
        self._library = require("prometheus_client", extra="prometheus")
        self._server: tuple[WSGIServer, Thread] | None = None
        self._machine = StateReader(Path("/"))

    def open(self) -> None:
        host, port = host_port(self.settings.address, "prometheus")
        registry = self._library.CollectorRegistry()
        registry.register(_Scrape(self))
        try:
            self._server = self._library.start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        server, _ = self._server
        application: Any = server.get_app()
        server.set_app(_limited(application, RateLimit(*RATE, patience=PATIENCE)))

    def show(self, state: StationState) -> None:
        self._state = state

    def close(self) -> None:
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()
            self._server = None

    def families(self) -> Iterator[Any]:
        """Yield the metrics of the newest state."""
        state, core = self._state, self._library.metrics_core
        gauge, counter = core.GaugeMetricFamily, core.CounterMetricFamily
        status: Any = state.status
        yield gauge("edgeseg_up", "Whether the inspector answers", value=float(state.alive))
        journal = status.get("journal", {})
        yield gauge(
            "edgeseg_journal_trouble",
            "Whether records wait because the disk takes none",
            value=float(bool(journal.get("trouble"))),
        )
        yield counter(
            "edgeseg_journal_lost", "Records that were lost", value=journal.get("lost", 0)
        )
        evidence = status.get("evidence", {})
        missing = evidence.get("missed", 0) + evidence.get("failed", 0)
        yield counter(
            "edgeseg_evidence_missing", "Frames to be kept that could not be", value=missing
        )
        stopped = float(bool(status.get("stopped")))
        yield gauge("edgeseg_line_stopped", "Whether somebody stopped the line", value=stopped)
        yield from self._cameras(status.get("cameras", {}))
        yield from self._outputs(state)
        yield from self._models()
        yield from self._device()

    def _cameras(self, cameras: dict[str, Any]) -> Iterator[Any]:
        core = self._library.metrics_core
        running = core.GaugeMetricFamily(
            "edgeseg_camera_running", "Whether the camera delivers frames", labels=["camera"]
        )
        inspections = core.CounterMetricFamily(
            "edgeseg_inspections",
            "Inspections by the code that the line saw, 0: OK",
            labels=["camera", "code"],
        )
        lost = core.CounterMetricFamily(
            "edgeseg_driver_drops", "Frames that the driver did not deliver", labels=["camera"]
        )
        latency = core.HistogramMetricFamily(
            "edgeseg_latency_seconds", "From arrival to mask", labels=["camera"]
        )
        drift = core.GaugeMetricFamily(
            "edgeseg_drift",
            "Median of the newest frames: 0 as in training, 1 at the limit",
            labels=["camera", "measure"],
        )
        for name, camera in cameras.items():
            running.add_metric([name], float(camera["state"] == "running"))
            lost.add_metric([name], camera["driver_drops"])
            for code, count in camera["codes"].items():
                inspections.add_metric([name, code], count)
            latency.add_metric(
                [name],
                _cumulative(camera["latency"]["buckets"]),
                sum_value=camera["latency"]["seconds"],
            )
            for measure, position in camera["drift"]["positions"].items():
                drift.add_metric([name, measure], position)
        yield from (running, inspections, lost, latency, drift)

    def _outputs(self, state: StationState) -> Iterator[Any]:
        core = self._library.metrics_core
        failing = core.GaugeMetricFamily(
            "edgeseg_output_failing_seconds",
            "Since when an output takes nothing; 0: it works",
            labels=["output"],
        )
        failures = core.CounterMetricFamily(
            "edgeseg_output_failures", "Exceptions of an output", labels=["output"]
        )
        behind = core.GaugeMetricFamily(
            "edgeseg_output_behind", "Records that an output does not have yet", labels=["output"]
        )
        written = state.last
        for name, output in state.outputs.items():
            failing.add_metric([name], output["bad_for"])
            failures.add_metric([name], output["failures"])
            if "cursor" in output:
                behind.add_metric([name], max(written - output["cursor"], 0))
        yield from (failing, failures, behind)

    def _models(self) -> Iterator[Any]:
        gauge = self._library.metrics_core.GaugeMetricFamily
        failing = gauge(
            "edgeseg_model_failing",
            "Whether the tag of a recipe cannot be followed, or names a model that is not used",
            labels=["recipe"],
        )
        answered = gauge(
            "edgeseg_model_answered_timestamp_seconds",
            "When the registry last answered",
            labels=["recipe"],
        )
        for recipe in self.context.following:
            found = read_following(folder_of(self.context.folder, recipe))
            failing.add_metric([recipe], float(bool(found.problem)))
            answered.add_metric([recipe], found.answered)
        yield from (failing, answered)

    def _device(self) -> Iterator[Any]:
        gauge = self._library.metrics_core.GaugeMetricFamily
        found = self._machine.read()
        temperature = gauge(
            "edgeseg_temperature_celsius", "Sensors of this device", labels=["sensor"]
        )
        for sensor, degrees in found.temperatures_c.items():
            temperature.add_metric([sensor], degrees)
        yield temperature
        if found.throttling is not None:
            throttled = float(bool(found.throttling))
            yield gauge("edgeseg_throttled", "Whether heat or power slow it down", value=throttled)
        free = shutil.disk_usage(self.context.folder).free
        yield gauge("edgeseg_disk_free_bytes", "Of the station's folder", value=float(free))


class _Scrape:
    """What prometheus_client calls for each scrape."""

    def __init__(self, output: PrometheusOutput) -> None:
        self._output = output

    def collect(self) -> Iterator[Any]:
        """Yield the metric families."""
        return self._output.families()


def _limited(application: "WSGIApplication", rate: RateLimit) -> "WSGIApplication":
    """Return an application that lets an address ask at a rate only."""

    def limited(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if rate.allows(str(environ.get("REMOTE_ADDR", ""))):
            return application(environ, start)
        start("429 Too Many Requests", [("Retry-After", "1"), ("Content-Length", "0")])
        return []

    return limited


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus wants them, from the counts of each."""
    total, found = 0, []
    for limit, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
        total += count
        found.append((limit, float(total)))
    return found
