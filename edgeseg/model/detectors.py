"""Builds a detector from the `model` and the settings of a card.

Settings that an older card lacks have their defaults here.
"""

from collections.abc import Callable, Mapping
from math import prod, sqrt
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.frame.geometry import Size
from edgeseg.model.contrast import LocalContrast
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.detector import Detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.teacher import Teacher

ModelSettings = Mapping[str, Any]
"""A TrainConfig as stored in a card."""


def build_detector(
    model: str, teacher: Teacher, settings: ModelSettings, network_size: Size
) -> Detector:
    """Return a detector with new students around a teacher.

    ModelError for a model that this version does not know.
    """
    if model not in DETECTORS:
        known = ", ".join(DETECTORS)
        raise ModelError(
            f"unknown model: {model} (expected {known})",
            remedy="update edgeseg to the version that trained the run",
            code="model/unknown-kind",
        )
    settings = {name: value for name, value in settings.items() if value is not None}
    detector = DETECTORS[model](teacher, settings, network_size)
    if share := settings.get("local_contrast", 0.0):
        detector.contrast = LocalContrast(network_size, share * sqrt(prod(network_size)))
    return detector


def _destseg(teacher: Teacher, settings: ModelSettings, network_size: Size) -> Detector:
    stride = settings.get("head_stride", 4)
    if stride not in (4, 8):
        raise ModelError(
            f"invalid head_stride: {stride} (expected 4 or 8)",
            remedy="restore the card of the run, or train again",
            code="model/settings",
        )
    return DeSTSeg(
        teacher,
        decoder=settings.get("decoder", True),
        head=settings.get("head", True),
        head_input=settings.get("head_input", "product"),
        student_width=settings.get("student_width", 64),
        head_width=settings.get("head_width", 256),
        head_stride=stride,
    )


def _dskd(teacher: Teacher, settings: ModelSettings, network_size: Size) -> Detector:
    return DSKD(
        teacher,
        network_size=network_size,
        weight=settings["distance_weight"],
        structure=settings["structure"],
        embedding=settings["embedding"],
        maps=settings["maps"],
        score_maps=settings.get("score_maps"),
        student_width=settings.get("student_width", 64),
        head=settings.get("head", False),
        head_width=settings.get("head_width", 256),
        head_score=settings.get("use_defects", False),
        map_root=settings.get("map_root", False),
    )


DETECTORS: dict[str, Callable[[Teacher, ModelSettings, Size], Detector]] = {
    "destseg": _destseg,
    "stpm": _destseg,  # with its own defaults: no decoder, no head
    "dskd": _dskd,
}
