"""Areas for tests."""

from edgeseg.frame.roi import Area, Roi


def rectangle(left, top, right, bottom):
    return (left, top), (right, top), (right, bottom), (left, bottom)


def make_roi(picture=(48, 64), ignored=(), **boxes):
    """ROIs by name: a rectangle (left, top, right, bottom) each; ignored: rectangles."""
    return Roi(
        picture=picture,
        areas=tuple(Area(name=name, rings=(rectangle(*box),)) for name, box in boxes.items()),
        ignored=tuple(Area(name="ignore", rings=(rectangle(*box),)) for box in ignored),
    )
