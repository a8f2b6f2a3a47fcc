"""The charts of the report: the scores with the threshold, and both error rates over it.

They are SVG with text as text. Each is drawn twice, for light and for dark pages: an image in a
page cannot take its colors from it.
"""

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.evaluation.operating_points import rates
from edgeseg.packages.extras import require
from edgeseg.report.measured import Judgements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (5.6, 3.5)  # inches: the text stays readable on a phone
BINS = 30
POINTS = 120  # of a curve
LONG = 20.0  # thresholds up to the highest score, above which its axis is logarithmic
FONT = 11
SLACK = 1e-9  # of a bin: the highest score is inside


@dataclass(frozen=True)
class Palette:
    """The colors of a page."""

    text: str
    grid: str
    good: str
    defective: str


LIGHT = Palette("#1c2733", "#d5dbe1", "#5b7083", "#c86a00")
DARK = Palette("#e8ecf0", "#3a4653", "#9db2c6", "#f5a623")


def draw(
    chart: "Callable[[Figure, Judgements, float, Palette], None]",
    measured: Judgements,
    threshold: float,
    palette: Palette,
) -> bytes:
    """Return a chart, `histogram` or `error_rates`, as an SVG file without a background."""
    matplotlib = require("matplotlib", extra="report")
    figures = require("matplotlib.figure", extra="report")
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # of its first import
    settings = {"svg.fonttype": "none", "svg.hashsalt": "edgeseg", "font.size": FONT}
    stream = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure = figures.Figure(SIZE, layout="constrained")
        chart(figure, measured, threshold, palette)
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    return stream.getvalue()


def histogram(figure: "Figure", measured: Judgements, threshold: float, palette: Palette) -> None:
    """Draw how many photos have which score, good above defective, with the threshold."""
    edges = _edges(measured.scores, threshold)
    axes = figure.subplots(2, 1, sharex=True)
    kinds = (
        ("good", measured.good, palette.good, ""),
        ("defective", ~measured.good, palette.defective, "////"),
    )
    for axis, (kind, chosen, color, hatch) in zip(axes, kinds, strict=True):
        values = measured.scores[chosen]
        axis.hist(values, edges, color=color, edgecolor=palette.text, linewidth=0.4, hatch=hatch)
        axis.axvline(threshold, color=palette.text, linestyle="--", linewidth=1.4)
        axis.set_ylabel(f"{kind}\nphotos", color=palette.text)
        axis.yaxis.get_major_locator().set_params(integer=True)
        if not len(values):
            place = {"x": 0.5, "y": 0.5, "ha": "center", "transform": axis.transAxes}
            axis.text(s=f"no {kind} photos", color=palette.text, **place)
        _style(axis, palette)
    if edges[0] > 0 and edges[-1] > LONG * threshold:
        axes[1].set_xscale("log")
    axes[0].annotate(
        "threshold",
        (threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        color=palette.text,
    )
    axes[1].set_xlabel(f"{measured.kinds[0]} score", color=palette.text)


def error_rates(figure: "Figure", measured: Judgements, threshold: float, palette: Palette) -> None:
    """Draw the false-reject rate and the miss rate over the threshold, with 95 % intervals."""
    axis = figure.subplots()
    low, high = _range(measured.scores, threshold)
    places = np.linspace(low, min(high, LONG * max(threshold, 1e-9)), POINTS)
    points = [rates(measured.scores, measured.good, float(place)) for place in places]
    curves = (
        ("good parts rejected", [p.false_rejects for p in points], palette.good, "-"),
        ("defective parts missed", [p.misses for p in points], palette.defective, "-."),
    )
    for label, found, color, line in curves:
        if found[0].total:
            lower, upper = 100 * np.array([rate.interval for rate in found]).T
            axis.fill_between(places, lower, upper, color=color, alpha=0.25, linewidth=0)
            shares = [100 * rate.value for rate in found]
            axis.plot(places, shares, line, color=color, linewidth=2, label=label)
    axis.axvline(threshold, color=palette.text, linestyle="--", linewidth=1.4)
    axis.set(ylim=(0, 100), xlim=(places[0], places[-1]))
    axis.set_xlabel(f"{measured.kinds[1]} threshold (dashed: as set)", color=palette.text)
    axis.set_ylabel("% of photos", color=palette.text)
    axis.legend(
        frameon=False,
        labelcolor=palette.text,
        loc="lower center",
        bbox_to_anchor=(0.45, 1.0),
        ncols=2,
        columnspacing=1.0,
        handlelength=1.8,
        fontsize=FONT - 1,
    )
    _style(axis, palette)


def _style(axis: "Axes", palette: Palette) -> None:
    axis.tick_params(colors=palette.text, labelsize=FONT - 1)
    axis.grid(axis="y", color=palette.grid, linewidth=0.6)
    axis.set_axisbelow(True)
    for name, spine in axis.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(palette.grid)


def _range(scores: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Return the lowest and the highest of the scores and the threshold, never equal."""
    low, high = min(scores.min(), threshold), max(scores.max(), threshold)
    return (low, high) if high > low else (low, low + 1.0)


def _edges(scores: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Return the edges of the bins; one of them is the threshold."""
    low, high = _range(scores, threshold)
    if low > 0 and high > LONG * threshold:
        low, high = low / 1.1, high * 1.1
        below = max(round(BINS * np.log(threshold / low) / np.log(high / low)), 1)
        edges = (
            np.geomspace(low, threshold, below + 1),
            np.geomspace(threshold, high, max(BINS - below, 1) + 1)[1:],
        )
        return np.concatenate(edges)
    width = (high - low) / BINS
    left = np.arange(np.floor((low - threshold) / width - SLACK), 0)
    right = np.arange(np.ceil((high - threshold) / width + SLACK) + 1)
    return threshold + width * np.concatenate((left, right))
