"""Overlays of results in every frame format."""

import numpy as np
import pytest

from edgeseg.frame.pixel_formats import PIXEL_FORMATS
from edgeseg.heat import ANOMALOUS, GOOD
from tests.stream.sink.results import SIZE, make_result, with_arrays, written_in


@pytest.mark.parametrize(
    ("score", "color", "other"), [(0.9, ANOMALOUS, GOOD), (0.1, GOOD, ANOMALOUS)]
)
@pytest.mark.parametrize("frame_format", PIXEL_FORMATS)
def test_the_overlay_of_every_format_has_the_verdict_s_color(score, color, other, frame_format):
    result = with_arrays(
        make_result(score=score, frame_format=frame_format), mask=np.zeros(SIZE, np.uint8)
    )
    overlay = result.overlay
    assert overlay.shape == (*SIZE, 3)
    assert written_in(overlay, color) and not written_in(overlay, other)
    assert result.overlay is overlay


def test_an_rgb_frame_is_shown_in_its_own_colors():
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[:, :, 0] = 200  # red in an RGB graph
    result = with_arrays(
        make_result(frame_format="rgb"), frame=frame, mask=np.zeros(SIZE, np.uint8)
    )
    np.testing.assert_array_equal(result.overlay[200, 300], (0, 0, 200))
    assert (frame[:, :, 0] == 200).all()
