"""Replaced captures."""

import cv2
import pytest

from edgeseg.stream.source.network import FFMPEG_OPTIONS
from tests.stream.source.captures import choose


@pytest.fixture
def plant(monkeypatch):
    """Replace cv2.VideoCapture, on an OpenCV with GStreamer."""

    def put(capture):
        monkeypatch.setattr(cv2, "VideoCapture", capture)
        return capture

    choose(monkeypatch, "OpenCV")
    monkeypatch.delenv(FFMPEG_OPTIONS, raising=False)
    return put
