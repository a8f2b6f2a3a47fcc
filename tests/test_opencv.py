"""What OpenCV says that it was built with."""

from types import SimpleNamespace

from edgeseg.opencv import built, has_gstreamer

BUILD = "  GUI:                           QT5\n    GStreamer:      {}\n   FFMPEG: NO\n"


def test_the_build_information_is_read():
    build = BUILD.format("YES (1.20.3)")
    assert built(build, "GUI") == "QT5"
    assert built(build, "GStreamer") == "YES (1.20.3)"
    assert built(build, "OpenNI") == ""


def test_gstreamer_is_there_or_not():
    for state, there in (("YES (1.20.3)", True), ("NO", False)):
        cv2 = SimpleNamespace(getBuildInformation=lambda state=state: BUILD.format(state))
        assert has_gstreamer(cv2) is there
