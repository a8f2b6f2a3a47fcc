"""GStreamer by OpenCV or PyGObject: which one is chosen, and what it leaves as it was."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.packages import gstreamer as module
from edgeseg.packages.extras import installed
from edgeseg.packages.gstreamer import PLUGINS, choose_gstreamer, install_plugins, load_gstreamer
from edgeseg.packages.trials import try_appsink
from tests.kit.errors import fails


def opencv(state):
    return SimpleNamespace(getBuildInformation=lambda: f"  GStreamer:      {state}\n")


def test_opencv_is_chosen_where_it_has_gstreamer(monkeypatch):
    monkeypatch.setattr(module, "load_gstreamer", lambda: None)
    assert choose_gstreamer(opencv("YES (1.20.3)")) == "OpenCV"
    assert choose_gstreamer(opencv("NO")) == "PyGObject"


def test_what_is_missing_is_named_with_its_packages(monkeypatch):
    def refuse(namespace, version, *packages):
        raise MissingExtra(f"no {namespace}.", remedy=" ".join(packages), code="extra/missing")

    load_gstreamer.cache_clear()
    monkeypatch.setattr(module, "load_library", refuse)
    with fails(MissingExtra, "extra/missing") as caught:
        choose_gstreamer(opencv("NO"))
    assert caught.value.problem == "OpenCV was built without GStreamer, and no Gst."
    assert caught.value.remedy == " ".join([module.TYPELIBS, *PLUGINS])
    assert install_plugins().endswith(" ".join(PLUGINS))


def test_a_pipeline_of_pygobject_is_read():
    try:
        found = load_gstreamer()
    except MissingExtra as error:
        pytest.skip(str(error))
    assert try_appsink(found) == ""
    assert found.version[0] == "1"


def test_openvino_works_beside_it():
    """It aborted with the libunwind of GStreamer in place of GCC's library."""
    try:
        load_gstreamer()
    except MissingExtra as error:
        pytest.skip(str(error))
    if not installed("openvino"):
        pytest.skip("openvino is not installed")
    text = (
        "from edgeseg.packages.gstreamer import load_gstreamer; load_gstreamer(); "
        "from edgeseg.packages.trials import try_runtime; print(try_runtime('openvino'))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
