"""What differs between the versions and builds of OpenCV, and why it cannot be imported."""

import subprocess
import sys
from types import SimpleNamespace

import cv2
import pytest

from edgeseg.errors import MissingExtra
from edgeseg.packages.opencv import (
    built,
    failed_import,
    has_gstreamer,
    import_opencv,
    parameters,
    silence,
    version,
)
from tests.kit.errors import fails

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


def test_every_version_is_silenced(monkeypatch):
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "16")  # the user's own
    levels = []
    up_to_4_12 = SimpleNamespace(utils=SimpleNamespace(), setLogLevel=levels.append)
    from_4_13 = SimpleNamespace(
        utils=SimpleNamespace(logging=SimpleNamespace(setLogLevel=levels.append))
    )
    without_a_log = SimpleNamespace(utils=SimpleNamespace())
    for each in (up_to_4_12, from_4_13, without_a_log):
        silence(each)
    assert levels == [0, 0]


@pytest.mark.parametrize(
    ("text", "number"), [("4.5.4", (4, 5)), ("4.13.0-dev", (4, 13)), ("5.0.0-alpha", (5, 0))]
)
def test_the_version_is_a_pair_of_numbers(text, number):
    assert version(SimpleNamespace(__version__=text)) == number


def test_a_parameter_that_an_old_opencv_lacks_is_left_out():
    old = SimpleNamespace(CAP_PROP_OPEN_TIMEOUT_MSEC=53)
    wanted = {"CAP_PROP_OPEN_TIMEOUT_MSEC": 900, "CAP_PROP_N_THREADS": 1}
    assert parameters(old, wanted) == [53, 900]
    new = SimpleNamespace(CAP_PROP_OPEN_TIMEOUT_MSEC=53, CAP_PROP_N_THREADS=70)
    assert parameters(new, wanted) == [53, 900, 70, 1]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put another package in the place of OpenCV."""

    def put(source):
        (tmp_path / "cv2").mkdir()
        (tmp_path / "cv2" / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "cv2")
        return tmp_path

    yield put
    sys.modules["cv2"] = cv2


@pytest.mark.parametrize(
    ("source", "code", "remedy"),
    [
        (
            "raise ImportError('libGL.so.1: cannot open shared object file: No such file')",
            "extra/system-library",
            "apt-get install -y libgl1 libglib2.0-0",
        ),
        (
            "raise ImportError('libopenblas-5f.so: cannot open shared object file')",
            "extra/broken",
            "--force-reinstall opencv-python",
        ),
        (
            "raise ImportError('numpy.core.multiarray failed to import')",
            "extra/numpy",
            "pip install 'numpy<2'",
        ),
        ("import cv2.gone", "extra/broken", "pip install --force-reinstall opencv-python"),
        (
            "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')",
            "extra/missing",
            "pip install opencv-python",
        ),
    ],
)
def test_the_reason_why_opencv_cannot_be_imported(package, source, code, remedy):
    package(source)
    with fails(MissingExtra, code) as caught:
        import_opencv()
    assert caught.value.remedy.endswith(remedy)


def test_every_command_tells_it_in_one_sentence(package):
    folder = package("raise ImportError('libGL.so.1: cannot open shared object file: No such')")
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom edgeseg.cli import main; main()"
    )
    words = ["predict", "x.onnx", "y.png", "--out", "z"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 2
    problem, remedy = done.stderr.splitlines()
    assert problem == (
        "error: OpenCV needs the system library libGL.so.1, which is not installed. "
        "[extra/system-library]"
    )
    assert remedy.startswith("  fix: ")


def test_an_import_error_of_another_package_is_not_explained():
    with pytest.raises(ImportError) as caught:
        from edgeseg import nowhere  # noqa: F401
    assert failed_import(caught.value) is None


def test_an_opencv_for_numpy_1_that_is_one_extension_module_is_recognized():
    """Debian's: no frame of a package cv2, and no name."""
    explained = failed_import(ImportError("numpy.core.multiarray failed to import"))
    assert (explained.code, explained.remedy) == ("extra/numpy", "pip install 'numpy<2'")
