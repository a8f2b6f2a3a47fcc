"""Numbers to levels of eight bits and back: value = scale * (level - zero).

Symmetric, 127 levels either side of zero. On a GPU zero is level 0, TensorRT knows no other. A CPU
multiplies unsigned by signed bytes: there a tensor that is never negative gets 255 levels, and
any other has its zero at level 128.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.quantize.fp16 import TINY

LEVELS, BYTES, MIDDLE = 127, 255, 128
FLOOR = 1e-8  # of a scale: TensorRT takes no zero, and a dead tensor has no range
BIAS_LEVELS = 2**30  # of the 2^31 that a sum of products has, it shares them with the products

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """scale: float32 [] for a tensor, [O] for weights; zero: alike, in the type of the levels."""

    scale: Floats
    zero: NDArray[np.generic]


def signed_step(limit: Floats | float, *, half: bool = False) -> Step:
    """Spread [-limit, limit] over int8; half: the scale is a number of Half, and not subnormal."""
    scale = np.maximum(np.asarray(limit, np.float32) / LEVELS, TINY if half else FLOOR)
    scale = scale.astype(np.float16 if half else np.float32).astype(np.float32)
    return Step(scale, np.zeros(scale.shape, np.int8))


def unsigned_step(limit: float, *, positive: bool) -> Step:
    """Spread [0, limit], or [-limit, limit], over uint8."""
    scale = np.maximum(np.float32(limit) / (BYTES if positive else LEVELS), np.float32(FLOOR))
    return Step(np.asarray(scale, np.float32), np.array(0 if positive else MIDDLE, np.uint8))


def quantize_weight(
    weight: Floats, *, half: bool = False, least: Floats | float = 0.0
) -> tuple[NDArray[np.int8], Step]:
    """Return int8 weights [O, ...] in [-127, 127] and a scale for each output channel, [O].

    least: the scales that a bias needs, [O]; a channel with weights of its own has larger ones.
    """
    peaks = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    step = signed_step(np.maximum(peaks, least * np.float32(LEVELS)), half=half)
    levels = np.rint(weight / step.scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(levels, -LEVELS, LEVELS).astype(np.int8), step


def least_scale(bias: Floats, activation: Step) -> Floats:
    """Return the smallest weight scales, [O], at which a bias fits the sum of products."""
    return np.asarray(np.abs(bias) / (activation.scale * np.float32(BIAS_LEVELS)), np.float32)


def quantize_bias(bias: Floats, activation: Step, weight: Step) -> tuple[NDArray[np.int32], Step]:
    """Return an int32 bias [O] in the steps of the products that it is added to."""
    scale = np.asarray(activation.scale * weight.scale, np.float32)
    levels = np.rint(bias.astype(np.float64) / scale).astype(np.int32)
    return levels, Step(scale, np.zeros(scale.shape, np.int32))
