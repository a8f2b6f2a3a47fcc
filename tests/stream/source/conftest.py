"""Replaced captures."""

import cv2
import pytest

from edgeseg.stream.source import gstreamer
from edgeseg.stream.source.network import FFMPEG_OPTIONS


@pytest.fixture
def plant(monkeypatch):
    """Replace cv2.VideoCapture, on an OpenCV with GStreamer."""

    def put(capture):
        monkeypatch.setattr(cv2, "VideoCapture", capture)
        return capture

    monkeypatch.setattr(gstreamer, "has_gstreamer", lambda cv2: True)
    monkeypatch.delenv(FFMPEG_OPTIONS, raising=False)
    return put
