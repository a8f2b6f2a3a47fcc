"""Every error says what was found and what to type."""

import pickle

import pytest

from edgeseg import errors
from edgeseg.errors import EdgesegError, ModelError

EXIT_CODES = {"GateFailed": 3, "Interrupted": 130}  # 130: what a shell expects after Ctrl-C


def kinds():
    """Those of the module; others are private to the part that raises them."""
    return [kind for kind in EdgesegError.__subclasses__() if kind.__module__ == errors.__name__]


def test_problem_and_remedy_are_kept_and_printed():
    error = EdgesegError("model.onnx is damaged.", remedy="edgeseg export")
    assert (error.problem, error.remedy) == ("model.onnx is damaged.", "edgeseg export")
    assert str(error) == "model.onnx is damaged.\n  fix: edgeseg export"


def test_there_is_no_error_without_a_remedy():
    with pytest.raises(TypeError, match="remedy"):
        EdgesegError("something is wrong")


@pytest.mark.parametrize("kind", kinds())
def test_exit_codes(kind):
    assert kind("found", remedy="type").exit_code == EXIT_CODES.get(kind.__name__, 2)


def test_the_module_draws_the_whole_tree():
    drawn = [line.split()[1] for line in errors.__doc__.splitlines() if "+--" in line]
    assert drawn == [kind.__name__ for kind in kinds()]


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ModelError("found", remedy="type", code="model/x")))
    assert (type(error), error.problem, error.remedy, error.code) == (
        ModelError,
        "found",
        "type",
        "model/x",
    )
