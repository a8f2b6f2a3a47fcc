"""A missing package names its extra; a broken one is not called missing."""

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.extras import installed, require
from tests.kit.errors import fails


def test_a_module_that_is_there_is_imported():
    assert require("json.decoder", extra="cpu").JSONDecoder


def test_a_missing_module_names_the_extra():
    with fails(MissingExtra, "extra/missing") as caught:
        require("no_such_runtime", extra="openvino")
    assert caught.value.remedy == 'pip install "edgeseg[openvino]"'


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


def test_versions_of_distributions():
    assert installed("pytest") == pytest.__version__
    assert installed("no-such-distribution") is None
