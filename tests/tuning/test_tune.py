"""The whole command: planted trials and a real final training; and one real trial."""

import csv
import dataclasses
import json
import os
import signal

import pytest

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.cluster.jobs import AGAIN
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, Interrupted, WriteError
from edgeseg.model.fit_check import FittedCheck
from edgeseg.settings import read_toml
from edgeseg.training import timing, train
from edgeseg.training.batches import Batches
from edgeseg.training.folder import RESUME
from edgeseg.training.history import HISTORY
from edgeseg.training.plan import Costs
from edgeseg.tuning import tune as tune_module
from edgeseg.tuning.config import TuneConfig
from edgeseg.tuning.trial import RUN, read_trial, run_trial
from edgeseg.tuning.tune import tune
from tests.kit.errors import fails
from tests.tuning.fakes import Clock, Planted, job_of

pytest.importorskip("optuna")

TINY = """
student_width = 8
image_size = 64
batch = 2
student_steps = 3
head_steps = 2
device = "cpu"
"""


@pytest.fixture
def tuned(parts, tmp_path, monkeypatch):
    """Run `edgeseg tune` with planted trials on a machine of known speed."""

    def measure(self, side, batch):
        return Costs(side=side, batch=batch, steps=dict.fromkeys(self.steps, 1), before=1, after=1)

    monkeypatch.setattr(timing.StepTimer, "measure", measure)
    monkeypatch.setattr(train, "fit_input_check", lambda *_, **__: FittedCheck((), {}))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    # 60 * 3.91 / 60 is not 3.91
    config = TuneConfig(minutes=3.91, train_config=tmp_path / "tiny.toml")
    clock = Clock()
    work = Planted(clock)

    def run(data=parts, overwrite=False, **changes):
        settings = dataclasses.replace(config, **changes)
        found = tune(data, settings, work=work, clock=clock, threads=1, overwrite=overwrite)
        return found, work

    run.clock = clock
    return run


def test_a_search_ends_with_a_run_its_report_a_table_and_a_picture(tuned, tmp_path):
    found, work = tuned()
    assert work.threads == {1}, "not those that were asked for"
    card = read_card(found.run / CARD, ModelCard)
    assert card.threshold is not None and (found.run / "report.html").is_file()
    assert card.config["lighting"] == found.chosen.choices["lighting"]
    assert card.config["student_steps"] == 3 and card.config["image_size"] == 64
    files = {path.name for path in found.folder.iterdir()}
    assert files >= {"trials.csv", "trials.png", "recipe.toml", "journal.log", "judge", "trials"}
    lines = (found.folder / "trials.csv").read_text().splitlines()
    assert len(lines) == 1 + len(work.done) and lines[1].startswith("0,0,0,done,")
    assert len(set(lines[0].split(","))) == len(lines[0].split(","))
    first = next(csv.DictReader(lines))
    assert (first["lighting"], first["trained_steps"]) == ("0.0", "10")
    recipe = read_toml(found.folder / "recipe.toml")
    assert recipe["lighting"] == found.chosen.choices["lighting"] and recipe["batch"] == 2
    assert "chosen: recipe" in found.summary() and json.dumps(found.to_json())
    done = [*work.done]
    again, _ = tuned()
    assert work.done == done and again.chosen == found.chosen, "nothing was left to do"
    assert read_card(found.run / CARD, ModelCard) == card

    with fails(ConfigError, "tune/other-minutes"):
        tuned(minutes=5)
    other = write_parts(tmp_path / "plates", train=32, good=1, bad=1, seed=5)
    with fails(ConfigError, "tune/changed"):
        tuned(other)


@pytest.mark.parametrize(("minutes", "sizes"), [(90, False), (600, True)])
def test_steps_are_compared_where_trials_are_as_large_as_a_training(
    tuned, tmp_path, monkeypatch, minutes, sizes
):
    for name in ("train_chosen", "report_run"):
        monkeypatch.setattr(tune_module, name, lambda *_, **__: None)
    (tmp_path / "tiny.toml").write_text('device = "cpu"\n')
    found, _ = tuned(minutes=minutes)
    assert found.budget.sizes == sizes
    assert ({row.choices["steps"] for row in found.rows} > {1.0}) == sizes


def test_a_refused_budget_binds_nothing(tuned, tmp_path):
    with fails(ConfigError, "tune/too-short") as raised:
        tuned(minutes=0.1, out=tmp_path / "out")
    minutes = float(raised.value.remedy.split()[1])
    with fails(ConfigError, "tune/too-short"):
        tuned(minutes=minutes / 2, out=tmp_path / "out")
    drawn = tmp_path / "out" / "judge" / "judge.json"
    before = drawn.stat().st_mtime_ns
    (tmp_path / "tiny.toml").write_text(TINY + "seed = 1\n")
    with fails(ConfigError, "tune/too-short"):
        tuned(minutes=0.1, out=tmp_path / "out")
    assert drawn.stat().st_mtime_ns > before, "other parts judge, and are drawn on"


def test_half_drawn_judging_images_of_a_killed_process_are_removed(tuned, tmp_path):
    left = tmp_path / "out" / ".judge-left"
    left.mkdir(parents=True)
    (left / "000.png").touch()
    with fails(ConfigError, "tune/too-short"):
        tuned(minutes=0.1, out=tmp_path / "out")
    assert not left.exists()


def test_trials_are_not_written_among_the_photos(tuned, parts):
    with fails(ConfigError, "tune/out-in-data"):
        tuned(out=parts / "train" / "good" / "out")


def test_a_stopped_final_training_is_continued_by_the_same_command(tuned, tmp_path, monkeypatch):
    def stops(*_, **__):
        tuned.clock.now += 60
        raise Interrupted("stopped", remedy="edgeseg train --resume")

    with monkeypatch.context() as patch, fails(Interrupted, "interrupted") as raised:
        patch.setattr(train, "train", stops)
        tuned()
    assert raised.value.remedy == AGAIN
    (tmp_path / "runs" / "plates").mkdir(parents=True)
    (tmp_path / "runs" / "plates" / HISTORY).touch()  # of a kill before the first checkpoint
    found, work = tuned()
    assert (found.run / CARD).is_file() and len(work.done) == len(set(work.done))
    assert 60 * found.minutes == pytest.approx(tuned.clock.now), "both sessions count"


@pytest.mark.parametrize("steps", [0, 2])
def test_a_stopped_replacement_is_continued_and_the_run_before_is_not_taken_for_it(
    tuned, tmp_path, monkeypatch, steps
):
    before, _ = tuned()
    (tmp_path / "tiny.toml").write_text(TINY + "seed = 1\n")
    make, made = Batches.make, []

    def stops(self, phase, step):
        made.append(step)
        if len(made) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return make(self, phase, step)

    def again():
        return tuned(out=tmp_path / "again", overwrite=True)[0]

    monkeypatch.setattr(Batches, "make", stops)
    with monkeypatch.context() as patch, pytest.raises((Interrupted, KeyboardInterrupt)):
        if not steps:
            patch.setattr(train, "split_samples", interrupted)
        again()
    assert read_card(before.run / CARD, ModelCard).config["seed"] == 0
    assert (before.run / "replacement" / RESUME).is_file() == bool(steps)
    begun = len(made)
    found = again()
    assert found.run == before.run
    assert read_card(found.run / CARD, ModelCard).config["seed"] == 1
    assert made[begun] > 0 or not steps, "it was begun anew"
    done = [*made]
    again()
    assert made == done, "it was trained again"


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["runs", "tunings"])
def test_a_folder_that_takes_no_files_is_told_before_any_trial(tuned, tmp_path, name):
    (tmp_path / name).write_text("a file")
    with fails(WriteError, "write/failed"):
        tuned()
    assert tuned.clock.now == 0


def test_slurm_is_told_how_many_trials_run_at_a_time():
    assert TuneConfig(on="slurm", processes=8).processes == 8
    with fails(ConfigError, "tune/no-processes"):
        TuneConfig(on="slurm")


def test_settings_that_a_search_has_in_another_form_are_refused(tuned, tmp_path):
    (tmp_path / "own.toml").write_text("minutes = 5\n")
    with fails(ConfigError, "tune/other-setting"):
        tuned(train_config=tmp_path / "own.toml")


def test_a_real_trial_leaves_its_scores_and_nothing_else(parts, tmp_path):
    small = {"student_width": 8, "head_width": 8, "image_size": 64, "batch": 2, "device": "cpu"}
    job = job_of({"profile": "line"}, tmp_path / "trials" / "000-0", seconds=4.0)
    config = dataclasses.replace(job.config, **small, student_steps=2, head_steps=1)
    job = dataclasses.replace(
        job,
        data=parts,
        judge=tmp_path / "judge",
        config=config,
        given=("image_size", "student_steps", "head_steps"),
        score_maps=("m23", "all"),
        known={64: {"student": 0.1, "head": 0.1}},
        threads=1,
    )
    run_trial(job)
    found = read_trial(job.result)
    assert 0 <= found.scores.score <= 1 and len(found.scores.bad) == 12
    assert found.steps == {"student": 2, "head": 1} and found.image_size == 64
    assert found.score_maps in ("m23", "all")
    assert not (job.folder / RUN).exists()
    before = job.result.stat().st_mtime_ns
    run_trial(job)
    assert job.result.stat().st_mtime_ns == before, "it was run again"
