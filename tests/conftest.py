"""What tests of several rooms share."""

import logging
import os
import platform
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgeseg.log import log
from tests.kit.cards import make_card
from tests.kit.logs import logged

# The lowest versions are tested without PyTorch, as on a device.
pytest_plugins = ["tests.kit.deploy"] if find_spec("torch") else []


@pytest.fixture
def graph_card():
    """The card of a small graph: frames of 48 x 64, a network of 32 x 32."""
    return make_card(
        name="screws",
        side=32,
        threshold=0.25,
        image_threshold=0.5,
        training={"teacher": "resnet18", "rotation": "none", "top": 1},
        versions={"torch": "2.6.0"},
    )


@pytest.fixture(scope="session", autouse=True)
def no_users_cache(tmp_path_factory):
    """Keep what OpenVINO compiles out of the user's home; GStreamer's list of plugins is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    registry = cache / "gstreamer-1.0" / f"registry.{platform.machine()}.bin"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GST_REGISTRY", os.environ.get("GST_REGISTRY", str(registry)))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def usual_signals():
    """Stop signals as a terminal leaves them: nohup and a shell's background ignore some."""
    stops = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if hasattr(signal, "SIGHUP"):
        stops[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.signal(number, usual) for number, usual in stops.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def said():
    """The lines that edgeseg logs during the test."""
    with logged() as lines:
        yield lines


@pytest.fixture(autouse=True)
def own_log_handler():
    """Begin without the handler that a command of another test or of a wide fixture installed."""
    log.handlers[:], log.level, log.propagate = [], logging.NOTSET, True
    yield
    log.handlers[:] = []
