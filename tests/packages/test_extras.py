"""A missing package names its extra; a broken one is not called missing."""

from importlib.metadata import PackageNotFoundError

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.packages import extras
from edgeseg.packages.extras import install_command, installed, missing_extra, require
from tests.kit.errors import fails


def test_a_module_that_is_there_is_imported():
    assert require("json.decoder", extra="cpu").JSONDecoder


def test_a_missing_module_names_the_extra():
    with fails(MissingExtra, "extra/missing") as caught:
        require("no_such_runtime", extra="openvino")
    assert caught.value.remedy == install_command("openvino")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("raise ImportError('libcudart.so.13 is missing')", "libcudart.so.13 is missing"),
        ("raise OSError('libtorch.so: wrong ELF class')", "wrong ELF class"),
    ],
)
def test_a_broken_module_speaks_for_itself(tmp_path, monkeypatch, source, words):
    (tmp_path / "broken_runtime.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with fails(MissingExtra, "extra/broken") as caught:
        require("broken_runtime", extra="cpu")
    assert words in caught.value.problem


METADATA = [
    "numpy>=1.24",
    "tomli>=2; python_version < '3.11'",
    "onnx>=1.16; extra == 'cpu'",
    "opencv-python<6,>=4.5; python_version < '3.11' and extra == 'cpu'",
    "onnxruntime>=1.18; extra == 'cpu'",
    "torch>=2.6; extra == 'train'",
]


def test_install_command_names_the_packages_of_an_extra(monkeypatch):
    monkeypatch.setattr(extras, "requires", {"edgeseg": METADATA}.get)
    assert install_command("cpu") == "pip install 'onnx>=1.16' 'onnxruntime>=1.18'"
    assert install_command("train", "--upgrade") == "pip install --upgrade 'torch>=2.6'"


def test_install_command_keeps_an_opencv_that_is_there(monkeypatch):
    monkeypatch.setattr(extras, "requires", {"edgeseg": METADATA}.get)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    expected = "pip install 'onnx>=1.16' 'opencv-python<6,>=4.5' 'onnxruntime>=1.18'"
    assert install_command("cpu") == expected


def test_install_command_of_an_edgeseg_that_is_not_installed(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", absent)
    assert install_command("cpu") == "pip install '.[cpu]'"


def test_versions_of_distributions():
    assert installed("pytest") == pytest.__version__
    assert installed("no-such-distribution") is None


@pytest.mark.parametrize(
    ("module", "extra"), [("safetensors.torch", "train"), ("onnx_ir", "cpu"), ("av", "video")]
)
def test_an_import_without_its_extra_is_explained(module, extra):
    error = missing_extra(ModuleNotFoundError(f"No module named '{module}'", name=module))
    assert (error.code, error.remedy) == ("extra/missing", install_command(extra))
    assert module.split(".")[0] in error.problem


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'edgeseg.x'", name="edgeseg.x"),
        ImportError("cannot import name 'save'", name="safetensors"),
    ],
)
def test_any_other_import_error_is_not(error):
    assert missing_extra(error) is None
