"""The quickstart and the Python examples run, on drawn data and with tiny trainings."""

import shlex
import sys
import warnings
from functools import partial

import pytest

import edgeseg
from edgeseg.cli import main
from edgeseg.data.parts import write_parts
from tests.docs.blocks import BLOCKS, lines

SMALL = {
    "teacher": "efficientnet_lite0",
    "image_size": 64,
    "batch": 2,
    "student_steps": 1,
    "head_steps": 1,
    "student_rate": 1e-4,
    "blocks_rate": 1e-4,
}
ADDED = {
    "train": " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SMALL.items()),
    "stream": "--no-window --frames 2",
    "benchmark": "--iterations 3 --warmup 1",
    "profile": "--iterations 2 --warmup 1",
}
WALK = [words for b in BLOCKS if b.run and b.language == "sh" for words in lines(b.text)]
EXAMPLES = [block for block in BLOCKS if block.language == "python"]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A folder in which the commands of the quickstart have run, with their outputs."""
    folder = tmp_path_factory.mktemp("quickstart")
    write_parts(folder / "bottle", train=8, good=2, bad=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in WALK:
            patch.setattr(sys, "argv", [*words, *shlex.split(ADDED.get(words[1], ""))])
            with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
                warnings.simplefilter("ignore")  # as for a user: the exporter's libraries warn
                main()
            assert not ended.value.code, shlex.join(words)
        yield folder


@pytest.mark.slow
def test_the_quickstart_runs(walked):
    assert {"train", "evaluate", "export", "build-engine", "stream"} <= {words[1] for words in WALK}
    assert (walked / "results" / "stream.jsonl").read_text().count('"index"') == 2


@pytest.mark.slow
@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_a_python_example_runs(block, walked, monkeypatch):
    """In the quickstart's folder."""
    assert block.run
    monkeypatch.setattr(edgeseg, "train", partial(edgeseg.train, **SMALL), raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(block.text, str(block), "exec"), {})


def test_the_first_example_of_the_api_has_eight_lines():
    first = next(block for block in EXAMPLES if block.page == "python-api.md")
    assert len([line for line in first.text.splitlines() if line]) <= 8
