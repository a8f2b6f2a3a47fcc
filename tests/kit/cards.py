"""Cards for tests."""

from edgeseg.cards import GraphCard


def make_card(height=48, width=64, *, batch=1, frame_format="bgr", side=16, **changes):
    """A card of a graph: frames of 48 x 64, a network of 16 x 16; `changes` by field."""
    values = {
        "name": "red",
        "model": "destseg",
        "frame_format": frame_format,
        "frame_shape": (batch, height, width, 1 if frame_format == "gray" else 3),
        "image_size": side,
        "threshold": 0.5,
        "image_threshold": 0.75,
        "weights_sha256": "0" * 64,
        "training": {},
        "versions": {},
    }
    return GraphCard(**(values | changes))
