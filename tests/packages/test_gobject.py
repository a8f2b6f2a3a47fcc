"""PyGObject of the distribution: found, missing, or built for another Python."""

import sys

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.packages import gobject
from tests.kit.errors import fails


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    """An environment without PyGObject, and a distribution that has what a test puts there."""
    gobject._import_gi.cache_clear()
    monkeypatch.setattr(gobject, "DISTRIBUTION", tmp_path)
    monkeypatch.setattr(gobject, "is_like_system", lambda: True)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "gi"}
    monkeypatch.setattr(gobject, "import_module", _refuse)
    yield tmp_path
    sys.modules.update(before)
    gobject._import_gi.cache_clear()


def _refuse(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])


def test_the_remedy_installs_what_is_missing(nothing_installed):
    with fails(MissingExtra, "extra/missing") as caught:
        gobject.load_library("Aravis", "0.8", "gir1.2-aravis-0.8")
    assert "Aravis 0.8 is unavailable: python3-gi is not installed." in caught.value.problem
    assert caught.value.remedy.endswith("apt-get install -y python3-gi gir1.2-aravis-0.8")


def test_another_python_gets_an_environment_of_the_distributions(nothing_installed, monkeypatch):
    monkeypatch.setattr(gobject, "is_like_system", lambda: False)
    (nothing_installed / "gi").mkdir()
    (nothing_installed / "gi" / "__init__.py").touch()
    (nothing_installed / "gi" / "_gi.cpython-27-none.so").touch()
    with fails(MissingExtra, "extra/missing") as caught:
        gobject.load_library("Aravis", "0.8", "gir1.2-aravis-0.8")
    assert "python3-gi is not built for Python 3." in caught.value.problem
    for words in ("python3-gi gir1.2-aravis-0.8", "-m venv --system-site-packages"):
        assert words in caught.value.remedy


def test_an_unknown_library_is_told():
    try:
        gobject.load_library("GLib", "2.0", "gir1.2-glib-2.0")
    except MissingExtra as error:
        pytest.skip(error.problem)
    with fails(MissingExtra, "extra/missing") as caught:
        gobject.load_library("Kaleidoscope", "1.0", "gir1.2-kaleidoscope-1.0")
    assert "Namespace Kaleidoscope not available" in caught.value.problem


def test_only_that_package_is_taken_from_the_distribution():
    try:
        gobject.load_library("GLib", "2.0", "gir1.2-glib-2.0")
    except MissingExtra as error:
        pytest.skip(error.problem)
    assert str(gobject.DISTRIBUTION) not in sys.path or sys.prefix == sys.base_prefix
