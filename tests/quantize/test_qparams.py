"""Eight bits: steps, levels and biases with known answers."""

import numpy as np
import pytest

from edgeseg.quantize.qparams import (
    least_scale,
    quantize_bias,
    quantize_weight,
    signed,
    unsigned,
)
from tests.kit.tiny import WEIGHT


def test_a_signed():
    step = signed(12.7)
    assert step.scale == pytest.approx(0.1) and step.scale.shape == ()
    assert step.zero == 0 and step.zero.dtype == np.int8


@pytest.mark.parametrize(("positive", "scale", "zero"), [(True, 0.1, 0), (False, 25.5 / 127, 128)])
def test_an_unsigned(positive, scale, zero):
    step = unsigned(25.5, positive=positive)
    assert step.scale == pytest.approx(scale)
    assert step.zero == zero and step.zero.dtype == np.uint8


@pytest.mark.parametrize("half", [False, True])
def test_no_step_is_zero(half):
    assert signed(0.0, half=half).scale > 0
    assert unsigned(0.0, positive=True).scale > 0
    levels, step = quantize_weight(np.zeros((2, 8, 3, 3), np.float32), half=half)
    assert (step.scale > 0).all() and not levels.any()
    assert step.scale.astype(np.float16 if half else np.float32).min() > 0


def test_weights_by_hand():
    weight = np.array([[1.27, -1.27, 0.64, 0.004], [-0.5, 0.25, 0, 0.002]], np.float32)
    levels, step = quantize_weight(weight)
    np.testing.assert_allclose(step.scale, [0.01, 0.5 / 127], rtol=1e-6)
    np.testing.assert_array_equal(levels, [[127, -127, 64, 0], [-127, 64, 0, 1]])
    assert levels.dtype == np.int8 and step.zero.dtype == np.int8
    np.testing.assert_array_equal(step.zero, [0, 0])


def test_half_steps_are_numbers_of_half_and_never_subnormal():
    weight = WEIGHT * np.logspace(-6, 0, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    levels, step = quantize_weight(weight, half=True)
    np.testing.assert_array_equal(step.scale, step.scale.astype(np.float16).astype(np.float32))
    assert step.scale.min() >= np.finfo(np.float16).smallest_normal
    error = np.abs(levels * step.scale.reshape(8, 1, 1, 1) - weight).reshape(8, -1).max(axis=1)
    assert (error <= 0.56 * step.scale).all()


def test_a_bias_is_in_steps_of_the_products():
    activation, weight = signed(12.7), signed(np.array([1.27, 2.54], np.float32))
    levels, step = quantize_bias(np.array([1.0, -0.0034], np.float32), activation, weight)
    np.testing.assert_allclose(step.scale, [0.001, 0.002], rtol=1e-6)
    np.testing.assert_array_equal(levels, [1000, -2])
    assert levels.dtype == step.zero.dtype == np.int32


def test_weights_make_room_for_a_bias():
    activation = signed(1.27e-6)
    bias = np.array([40.0, 0.0], np.float32)
    least = least_scale(bias, activation)
    levels, step = quantize_weight(np.full((2, 4), 1e-4, np.float32), least=least)
    assert step.scale[0] == pytest.approx(40.0 / (1e-8 * 2**30), rel=1e-5)
    assert step.scale[1] == pytest.approx(1e-4 / 127)
    np.testing.assert_array_equal(levels, [[0] * 4, [127] * 4])
    fitted, _ = quantize_bias(bias, activation, step)
    assert fitted[0] == pytest.approx(2**30, rel=1e-5)
