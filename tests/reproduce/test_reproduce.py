"""`edgeseg reproduce`: the runs of a table, resuming, failures, the files of the report."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.cards import CARD, WEIGHTS, write_card
from edgeseg.data.layouts import open_dataset
from edgeseg.errors import ConfigError, DataError, EdgesegError, Interrupted, WriteError
from edgeseg.reproduce.config import ReproduceConfig
from edgeseg.reproduce.reproduce import reproduce
from edgeseg.training.prepare import split_hashes
from tests.kit.cards import make_run_card
from tests.kit.errors import fails

TABLE = """
title = "Two methods"
metrics = ["image_auroc", "pixel_ap"]
seeds = 2
settings = { teacher = "efficientnet_lite0", holdout = 0.0 }

[[rows]]
label = "wide"
settings = { focal_gamma = 2.0 }
figures.average = [90.0, "50.0 ± 1.0"]

[[rows]]
label = "narrow"
"""


def finish(run):
    """Write what a training and its evaluation write; metrics grow by ten points per seed."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / WEIGHTS).write_bytes(b"weights")
    (run.folder / "train.csv").write_text("phase,step,loss,seconds,waited\n")
    score = 0.5 + 0.1 * run.config.seed
    write_card(
        run.folder / CARD,
        make_run_card(
            name=run.folder.name,
            model=run.config.model,
            network_size=(256, 256),
            config=run.config.to_json(),
            split=split_hashes(open_dataset(run.data), run.config),
            steps={"student": 3},
            seconds={"student": 20.0 + 20 * run.config.seed, "head": 30.0},
            trained_on="a machine, 1 thread",
            metrics={"image_auroc": score, "pixel_ap": score / 2, "iap": None},
        ),
    )


class Work:
    """Stands in for a training; fails, or asks for a stop, at one of them."""

    def __init__(self, fails="", stops=""):
        self.fails, self.stops = fails, stops
        self.done = []

    def __call__(self, training):
        if training.title == self.stops:
            raise Interrupted("stopped", remedy="again")
        if training.title == self.fails:
            raise DataError("The image is torn.", remedy="another image")
        for run in training.runs:
            finish(run)
        self.done.append(training.title)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "methods.toml"
    path.write_text(TABLE)
    return str(path)


@pytest.fixture
def config(categories, tmp_path):
    return ReproduceConfig(data=categories, out=tmp_path / "out")


def test_reproduce_runs_every_row_on_every_category_with_every_seed(table, config):
    work = Work()
    report = reproduce(table, config, work=work)
    assert work.done == [
        f"{category}, {row}, seed {seed}"
        for seed in (0, 1)
        for category in ("discs", "plates")
        for row in ("wide", "narrow")
    ]
    average = {line.category: line for line in report.lines["wide"]}["average"]
    ours = average.cells["pixel_ap"].ours
    assert (ours.mean, ours.n) == (pytest.approx(27.5), 2)
    assert ours.std == pytest.approx(5 / 2**0.5)
    assert average.cells["pixel_ap"].difference == pytest.approx(-22.5)
    assert average.cells["pixel_ap"].beyond
    assert (average.seconds.mean, average.seconds.std) == (60.0, pytest.approx(20 / 2**0.5))

    text = (config.out / "methods" / "report.txt").read_text()
    wide = next(line for line in text.splitlines() if line.startswith("wide"))
    assert wide.split() == (
        "wide 4 55.0 ± 7.1 90.0 -35.0* 27.5 ± 3.5 50.0 ± 1.0 -22.5* 60.0 ± 14.1".split()
    )
    assert "machine   a machine, 1 thread" in text and "8 of 8" in text
    document = json.loads((config.out / "methods" / "report.json").read_text())
    assert len(document["runs"]) == 8
    assert document["runs"][0]["values"]["training_seconds"] == 50.0
    assert document["rows"]["wide"]["average"]["training_seconds"]["n"] == 2
    report.check()


def test_reproduce_reports_a_failed_run_and_tries_it_again(table, config):
    work = Work(fails="plates, wide, seed 0")
    report = reproduce(table, config, work=work)
    assert len(work.done) == 7
    with fails(EdgesegError, "reproduce/runs-failed") as caught:
        report.check()
    assert "plates, wide, seed 0: The image is torn." in caught.value.problem
    text = (config.out / "methods" / "report.txt").read_text()
    assert f"failed    {config.out}/methods/plates/wide-s0: The image is torn." in text

    again = Work()
    reproduce(table, config, work=again).check()
    assert again.done == ["plates, wide, seed 0"]
    assert "failed" not in (config.out / "methods" / "report.txt").read_text()


def test_reproduce_keeps_finished_runs_when_stopped(table, config):
    work = Work(stops="discs, wide, seed 1")
    with pytest.raises(Interrupted):
        reproduce(table, config, work=work)
    assert len(work.done) == 4
    assert "4 of 8" in (config.out / "methods" / "report.txt").read_text()
    again = Work()
    reproduce(table, config, work=again)
    assert len(again.done) == 4 and not set(again.done) & set(work.done)


KILLED = """
import os, signal, sys
from pathlib import Path
from edgeseg.reproduce.config import ReproduceConfig
from edgeseg.reproduce.reproduce import reproduce
from tests.reproduce.test_reproduce import finish

def work(training):
    if training.title == "plates, wide, seed 0":
        os.kill(os.getpid(), signal.SIGKILL)
    for run in training.runs:
        finish(run)

table, data, out = sys.argv[1:]
reproduce(table, ReproduceConfig(data=Path(data), out=Path(out)), work=work)
"""


def test_reproduce_resumes_after_a_kill(table, config):
    command = [sys.executable, "-c", KILLED, table, str(config.data), str(config.out)]
    root = Path(__file__).parents[2]
    killed = subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
    assert killed.returncode == -signal.SIGKILL
    assert "2 of 8" in (config.out / "methods" / "report.txt").read_text()
    work = Work()
    reproduce(table, config, work=work).check()
    assert len(work.done) == 6 and "discs, wide, seed 0" not in work.done


def test_check_unchanged_refuses_runs_with_other_settings(table, config, tmp_path):
    reproduce(table, config, work=Work())
    Path(table).write_text(TABLE.replace("gamma = 2.0", "gamma = 3.0"))
    with fails(ConfigError, "reproduce/run-changed") as caught:
        reproduce(table, config, work=Work())

    assert "focal_gamma (2.0 -> 3.0)" in caught.value.problem


def test_make_runs_refuses_overrides_that_make_rows_identical(table, config, tmp_path):
    (tmp_path / "budget.toml").write_text("focal_gamma = 4.0\n")
    leveled = ReproduceConfig(
        data=config.data, out=config.out, train_config=tmp_path / "budget.toml"
    )
    with fails(ConfigError, "reproduce/identical-rows"):
        reproduce(table, leveled, work=Work())


def test_reproduce_refuses_an_unwritable_folder_before_training(table, config, tmp_path):
    (tmp_path / "out").write_text("a file")
    work = Work()
    with pytest.raises(WriteError, match=r"out/methods/report\.txt"):
        reproduce(table, config, work=work)
    assert not work.done


def test_reproduce_refuses_an_unknown_category(table, config):
    wrong = ReproduceConfig(data=config.data, out=config.out, categories="screws")
    with fails(DataError, "reproduce/unknown-category"):
        reproduce(table, wrong, work=Work())


def test_a_table_of_complexity_is_not_measured_elsewhere(config):
    elsewhere = ReproduceConfig(on="ray", out=config.out)
    with fails(ConfigError, "config/conflict"):
        reproduce("dskd-6", elsewhere, work=Work())
    assert not config.out.exists()


def test_reproduce_does_not_compare_another_data_set(config):
    report = reproduce("destseg-s3", config, work=Work())
    assert not report.comparable
    (average,) = (x for x in report.lines["w/ data augmentation"] if x.category == "average")
    assert average.cells["image_auroc"].paper.mean == 98.6
    assert average.cells["image_auroc"].difference is None
    assert "textures (DTD -> built in)" in report.summary()
