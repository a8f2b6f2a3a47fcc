"""A replacement of cv2.VideoCapture, and the choice of what opens pipelines."""

import os

import cv2
import numpy as np

from edgeseg.errors import MissingExtra
from edgeseg.stream.source import network
from edgeseg.stream.source.gstreamer import open as pipelines
from edgeseg.stream.source.network import FFMPEG_OPTIONS


def choose(monkeypatch, library):
    """Let pipelines be opened by OpenCV or PyGObject; None: there is no GStreamer."""

    def chosen(cv2):
        if library is None:
            raise MissingExtra("no GStreamer.", remedy="install it", code="extra/missing")
        return library

    for module in (network, pipelines):
        monkeypatch.setattr(module, "choose_gstreamer", chosen)


class FakeCapture:
    """A cv2.VideoCapture with one mode, which delivers the given images."""

    def __init__(self, images=(), opened=True, **has):
        self.images, self.opened = list(images), opened
        self.has = {"WIDTH": 1280, "HEIGHT": 720, "FPS": 30.0, "FOURCC": 0, "COUNT": -1} | has
        self.calls = []
        self.options = None

    def __call__(self, *arguments):
        self.arguments, self.options = arguments, os.environ.get(FFMPEG_OPTIONS)
        return self

    def isOpened(self):
        return self.opened

    def set(self, key, value):
        self.calls.append((key, value))

    def get(self, key):
        keys = {
            cv2.CAP_PROP_FRAME_WIDTH: "WIDTH",
            cv2.CAP_PROP_FRAME_HEIGHT: "HEIGHT",
            cv2.CAP_PROP_FPS: "FPS",
            cv2.CAP_PROP_FOURCC: "FOURCC",
            cv2.CAP_PROP_FRAME_COUNT: "COUNT",
        }
        return float(self.has[keys[key]])

    def grab(self):
        return bool(self.images)

    def retrieve(self, image):
        new = self.images.pop(0)
        if image.shape != new.shape:
            return True, new
        np.copyto(image, new)
        return True, image

    def release(self):
        self.opened = False
