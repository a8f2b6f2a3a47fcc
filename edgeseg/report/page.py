"""The page: one HTML file, whose policy forbids every request and every script."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

from edgeseg import __version__
from edgeseg.cards import EngineCard
from edgeseg.packages.extras import require
from edgeseg.report import charts, figures
from edgeseg.report.decision import Decision
from edgeseg.report.facts import ModelFacts, Rows
from edgeseg.report.latency import Latency
from edgeseg.report.measured import Judgements
from edgeseg.report.pictures import Group, Picture, data_uri, legend
from edgeseg.text import percent

GENERATOR = "edgeseg report"
"""Marks a file that a later report may replace."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the page shows."""

    facts: ModelFacts
    decision: Decision
    limits: list[str]
    measured: Judgements | None
    groups: list[Group]
    seen: list[Picture]
    sheet: str | None
    """The contact sheet of a stored evaluation, as a data URI."""
    latency: Latency | None
    engines: list[EngineCard]
    data_hashes: Rows
    threshold_command: str
    """What to type to change the threshold."""
    latency_commands: tuple[str, ...]
    """What to type for a report with the latency."""

    def html(self) -> str:
        """Return the file."""
        return render(
            _template("page.html"),
            **{field.name: getattr(self, field.name) for field in fields(self)},
            **self._figures(),
            name=self.facts.graph.name,
            has_check=bool(self.facts.graph.input_check),
            legend=legend(),
            outlined=any(p.outlined for group in self.groups for p in group.pictures),
            trained=figures.trained(self.facts),
            percent=percent,
            interval=figures.interval,
            number=figures.number,
        )

    def _figures(self) -> dict[str, Any]:
        """Return what is computed from the scores; without any, nothing."""
        measured, threshold = self.measured, self.facts.graph.decisive_threshold
        found: dict[str, Any] = {"threshold": figures.number(threshold), "types": [], "points": []}
        found |= {"histogram": None, "error_rates": None, "histogram_text": ""}
        if measured is None:
            return found
        found |= {"missed": measured.missed(), "rejected": measured.rejected()}
        found["types"] = figures.types(measured, self.facts.graph.defects)
        if measured.judged:
            found["points"] = figures.points(measured, threshold)
            found["histogram"] = self._both(charts.histogram)
            found["error_rates"] = self._both(charts.error_rates)
            found["histogram_text"] = figures.histogram_text(measured, threshold)
        return found

    def _both(self, chart: Callable[..., None]) -> tuple[str, str]:
        """Return a chart for light and for dark pages, as data URIs."""
        assert self.measured is not None
        threshold = self.facts.graph.decisive_threshold
        light, dark = (
            data_uri(charts.draw(chart, self.measured, threshold, palette), "image/svg+xml")
            for palette in (charts.LIGHT, charts.DARK)
        )
        return light, dark


def render(template: str, **values: Any) -> str:
    """Return a page from a template that extends base.html: title and body are its own."""
    jinja2 = require("jinja2", extra="report")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )
    style = _template("style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text: str = environment.from_string(template).render(
        version=__version__,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        generator=GENERATOR,
        style=require("markupsafe", extra="report").Markup(style),  # edgeseg's own
        style_hash=f"sha256-{digest}",
        **values,
    )
    return text


def _template(name: str) -> str:
    return files("edgeseg.report").joinpath("templates", name).read_text(encoding="utf-8")
