"""A new rule for a model: which regions count, whether they decide, the size of a pixel."""

from dataclasses import asdict, dataclass, field, replace
from math import isclose, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.cards import CARD, EngineCard, GraphCard, ModelCard, read_card
from edgeseg.data.roi.read import read_roi
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.regions.checkerboard import measure_pixel
from edgeseg.files import quoted, shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.roi import Roi
from edgeseg.log import log
from edgeseg.runtime.engine_pair import card_path
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.verdict.region_config import RegionConfig, RuleConfig
from edgeseg.verdict.rule import Rule

if TYPE_CHECKING:
    from edgeseg.evaluation.review import Store


@dataclass(frozen=True)
class RuleChange:
    """The rule of a model before and after; `store` writes it."""

    model: Path
    before: Rule
    after: Rule
    write: "Store" = field(repr=False, compare=False)

    def summary(self) -> str:
        """Return both rules, as text."""
        return (
            f"{shown(self.model)}\n  before: {self.before.words()}\n  now:    {self.after.words()}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return both rules."""
        return {"model": str(self.model), "before": asdict(self.before), "rule": asdict(self.after)}

    def store(self) -> None:
        """Write the new rule to the model."""
        self.write(self.model, None, None, self.after, None)
        if self.after.by_regions:
            log.info(f"what it rejects and misses: edgeseg threshold {quoted(self.model)} DATA")


def change_rule(model: Path, config: RegionConfig, write: "Store") -> RuleChange:
    """Return the change of a run, an ONNX file or an engine; ModelError for anything else."""
    before = _card(model).rule
    return RuleChange(model, before, new_rule(model, before, config) or before, write)


def new_rule(model: Path, rule: Rule, config: RegionConfig) -> Rule | None:
    """Return the rule of a model with the settings that are given; None: no setting is given.

    A size of a pixel holds for the pictures that the model was trained on, or the checkerboard's.
    """
    if isinstance(config, RuleConfig):
        config = replace(config, roi=None, ignore=None)
    if config == type(config)():
        return None
    picture = rule.picture
    if model.is_dir() and picture is None:
        picture = read_card(model / CARD, ModelCard).frame_size
    known = picture
    if isinstance(config, RuleConfig) and config.checkerboard is not None:
        assert config.square_mm is not None, "checked by RuleConfig"
        found = measure_pixel(config.checkerboard, config.square_mm)
        log.info(f"{shown(config.checkerboard)}: {found.words()}")
        config = replace(config, checkerboard=None, square_mm=None, mm_per_px=found.mm)
        picture = found.picture
    return _with_kept_areas(config.applied(rule, picture), rule, config, known)


def _with_kept_areas(after: Rule, before: Rule, config: RegionConfig, known: Size | None) -> Rule:
    """Return a new rule whose areas, where they are not given again, are as large as before.

    Areas are in pixels of the rule's picture; known: its size until now.
    """
    factor = prod(after.picture) / prod(known) if after.picture and known else 1.0
    kept: dict[str, Any] = {}
    if config.rule is None and after.by == "area":
        kept["limit"] = after.limit * factor
    if config.min_area is None and after.min_area:
        kept["min_area"] = after.min_area * factor
    if kept and before.mm_per_px and after.mm_per_px:
        times = factor * (after.mm_per_px / before.mm_per_px) ** 2
        if not isclose(times, 1, rel_tol=0.01):
            log.warning(
                f"areas that are not given again keep their pixels, and have {times:.3g} times "
                "their mm2; to keep mm2, give them again, for example: --min-area 0.5mm2"
            )
    return replace(after, **kept)


def new_roi(model: Path, config: RuleConfig) -> Roi | None:
    """Return the ROIs that are given for a run; None: none are given.

    ConfigError for a model that has its ROIs in the graph; DataError as `read_roi`, and for a run
    whose training images have several sizes.
    """
    if config.roi is None and config.ignore is None:
        return None
    if not model.is_dir():
        raise ConfigError(
            f"{shown(model)} has its ROIs in the graph (expected a run for --roi and --ignore)",
            remedy="edgeseg threshold RUN DATA --roi mask.png --false-reject 0.01, then edgeseg "
            "export RUN",
            code="config/roi",
        )
    card = read_card(model / CARD, ModelCard)
    if card.roi is not None and card.roi.locate is not None:
        raise ConfigError(
            f"the ROIs of {shown(model)} move with the part (--locate), which is learned in a "
            "training",
            remedy="edgeseg train DATA --roi mask.png --locate photo.png",
            code="config/roi",
        )
    size = card.frame_size
    if size is None:
        raise DataError(
            f"the training images of {shown(model)} have several sizes, so a ROI is at no certain "
            "place in them",
            remedy="train on images of one size, or omit --roi and --ignore",
            code="data/roi-size",
        )
    return read_roi(config.roi, config.ignore, size)


def _card(model: Path) -> ModelCard | GraphCard:
    if model.is_dir():
        return read_card(model / CARD, ModelCard)
    if card_path(model).is_file():
        return read_card(card_path(model), EngineCard).graph
    return read_onnx_card(model)
