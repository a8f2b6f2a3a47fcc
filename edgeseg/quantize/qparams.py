"""Scales and zero points of INT8, and quantized weights: value = scale * (quantized - zero).

Symmetric, 127 steps either side of zero. On a GPU the zero point is 0, the only one that TensorRT
takes. A CPU multiplies unsigned by signed bytes: there a tensor that is never negative has 255
steps, and any other has its zero point at 128.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.quantize.fp16 import TINY

STEPS, BYTES, MIDDLE = 127, 255, 128
FLOOR = 1e-8  # of a scale: TensorRT takes no 0, and a tensor of zeros has no range
BIAS_STEPS = 2**30  # of the 2^31 that an INT32 sum holds, which bias and products share

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class QParams:
    """scale: float32 [] for a tensor, [O] for weights; zero: alike, in the quantized type."""

    scale: Floats
    zero: NDArray[np.generic]


def signed(limit: Floats | float, *, half: bool = False) -> QParams:
    """Spread [-limit, limit] over int8; half: the scale is an FP16 number, and not subnormal."""
    scale = np.maximum(np.asarray(limit, np.float32) / STEPS, TINY if half else FLOOR)
    scale = scale.astype(np.float16 if half else np.float32).astype(np.float32)
    return QParams(scale, np.zeros(scale.shape, np.int8))


def unsigned(limit: float, *, positive: bool) -> QParams:
    """Spread [0, limit], or [-limit, limit], over uint8."""
    scale = np.maximum(np.float32(limit) / (BYTES if positive else STEPS), np.float32(FLOOR))
    return QParams(np.asarray(scale, np.float32), np.array(0 if positive else MIDDLE, np.uint8))


def quantize_weight(
    weight: Floats, *, half: bool = False, least: Floats | float = 0.0
) -> tuple[NDArray[np.int8], QParams]:
    """Return int8 weights [O, ...] in [-127, 127] and a scale for each output channel, [O].

    least: the smallest scales that the bias allows, [O].
    """
    peaks = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    qparams = signed(np.maximum(peaks, least * np.float32(STEPS)), half=half)
    quantized = np.rint(weight / qparams.scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(quantized, -STEPS, STEPS).astype(np.int8), qparams


def least_scale(bias: Floats, activation: QParams) -> Floats:
    """Return the smallest weight scales, [O], at which a bias fits the INT32 sum of products."""
    return np.asarray(np.abs(bias) / (activation.scale * np.float32(BIAS_STEPS)), np.float32)


def quantize_bias(
    bias: Floats, activation: QParams, weight: QParams
) -> tuple[NDArray[np.int32], QParams]:
    """Return an int32 bias [O] in the scale of the products that it is added to."""
    scale = np.asarray(activation.scale * weight.scale, np.float32)
    quantized = np.rint(bias.astype(np.float64) / scale).astype(np.int32)
    return quantized, QParams(scale, np.zeros(scale.shape, np.int32))
