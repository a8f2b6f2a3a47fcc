"""GStreamer on this machine."""

import cv2
import pytest

from edgeseg.errors import MissingExtra
from edgeseg.packages.gstreamer import load_gstreamer
from edgeseg.packages.opencv import has_gstreamer
from edgeseg.stream.source import camera as cameras
from tests.stream.source.captures import choose


@pytest.fixture
def gstreamer():
    """GStreamer by PyGObject."""
    try:
        return load_gstreamer()
    except MissingExtra as error:
        pytest.skip(str(error))


@pytest.fixture
def pygobject(gstreamer, monkeypatch):
    """Pipelines are opened by PyGObject, and a lost camera is soon tried again."""
    choose(monkeypatch, "PyGObject")
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.05)
    return gstreamer


@pytest.fixture(params=["OpenCV", "PyGObject"])
def library(request, monkeypatch):
    """Each of the two that open pipelines."""
    if request.param == "OpenCV" and not has_gstreamer(cv2):
        pytest.skip("OpenCV without GStreamer")
    if request.param == "PyGObject":
        request.getfixturevalue("gstreamer")
    choose(monkeypatch, request.param)
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.05)
    return request.param
