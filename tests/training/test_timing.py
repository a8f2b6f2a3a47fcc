"""Sizes that fit a budget are found from steps that are timed, and the training repeats them."""

import time
from dataclasses import asdict, replace

import pytest
from safetensors.torch import load_file

import edgeseg
from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig
from edgeseg.training import timing
from edgeseg.training.batches import Batches
from edgeseg.training.plan import Costs
from edgeseg.training.timing import sized
from tests.kit.errors import fails

SMALL = {"profile": "line", "student_width": 8, "head_width": 8, "device": "cpu", "holdout": 0.25}


@pytest.fixture
def fast(monkeypatch):
    """A machine on which a step takes 0.2 s at 128 px, whatever this one does."""

    def measure(self, side, batch):
        steps = {phase: 0.2 * (side / 128) ** 2 * batch / 8 for phase in self.steps}
        return Costs(side=side, batch=batch, steps=steps, before=1.0, after=1.0)

    monkeypatch.setattr(timing.StepTimer, "measure", measure)


@pytest.fixture(scope="module")
def defective(tmp_path_factory):
    return open_dataset(write_parts(tmp_path_factory.mktemp("set") / "p", train=8, good=1, bad=8))


def now():
    return time.perf_counter()


def test_each_phase_of_a_training_is_timed(plates):
    config = TrainConfig(**SMALL, image_size=64, batch=2, student_steps=50, head_steps=40)
    given = {"image_size", "batch", "student_steps", "head_steps"}
    same, plan = sized(plates, config, given, started=now())
    assert same == config and plan.steps == {"student": 50, "head": 40}
    assert min(plan.costs.steps.values()) > 0 and plan.costs.before > 0 and plan.costs.after > 0
    assert plan.seconds > 50 * plan.costs.steps["student"] + 40 * plan.costs.steps["head"]


def test_a_training_that_is_shorter_than_its_timing_is_not_timed(plates, quick):
    given = {"image_size", "batch", "student_steps", "head_steps"}
    assert sized(plates, quick, given, started=now()) == (quick, None)


def test_the_default_budget_gives_sizes_that_are_recorded(plates, fast, said):
    config, plan = sized(plates, TrainConfig(**SMALL), SMALL, started=now())
    assert config.minutes == 30 and config.image_size == plan.costs.side
    assert plan.steps == {"student": config.student_steps, "head": config.head_steps}
    assert said.pop(0) == "profile line: dskd with a head, teacher efficientnet_lite0"
    assert said[0].startswith(f"30 min: {config.image_size} px, ")
    assert said[1].startswith("predicted: ") and said[2].startswith("--minutes 60 would buy: ")
    assert TrainConfig(**asdict(config)) == config


def test_what_is_given_wins_over_the_plan(plates, fast):
    given = SMALL | {"minutes": 20.0, "image_size": 96, "head_steps": 7}
    config, _ = sized(plates, TrainConfig(**given), given, started=now())
    assert (config.image_size, config.head_steps) == (96, 7) and config.student_steps > 100


def test_what_is_given_is_said_beside_the_budget(plates, fast, said):
    given = SMALL | {"image_size": 96, "student_steps": 50}
    sized(plates, TrainConfig(**given), given, started=now())
    assert said[1].startswith("30 min at most, --image-size, --student-steps as given: 96 px, 50 +")


def test_a_budget_beside_all_sizes_is_said_to_have_no_effect(plates, fast, said):
    sizes = {"image_size": 96, "student_steps": 5000, "head_steps": 40}
    given = SMALL | sizes | {"minutes": 5.0}
    config, plan = sized(plates, TrainConfig(**given), given, started=now())
    assert (config.image_size, config.student_steps, plan.seconds > 300) == (96, 5000, True)
    assert said[0] == "all sizes are given: --minutes 5 has no effect"


def test_a_budget_that_is_a_little_too_small_is_exceeded_with_a_warning(plates, fast, said):
    given = SMALL | {"minutes": 0.6}
    _, plan = sized(plates, TrainConfig(**given), given, started=now())
    assert 36 < plan.seconds < 72 and any("longer than --minutes 0.6" in line for line in said)


def test_steps_of_the_head_are_timed_with_the_known_defects(defective, monkeypatch):
    mixed = []
    monkeypatch.setattr(Batches, "_with_defects", _noting(mixed, Batches._with_defects))
    config = TrainConfig(**SMALL, use_defects=True, image_size=64, batch=2, student_steps=50)
    sized(defective, config, {"image_size", "batch", "student_steps", "head_steps"}, started=now())
    assert len(mixed) == timing.WARMUP + timing.TIMED


def _noting(found, method):
    def noted(*args):
        found.append(args)
        return method(*args)

    return noted


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_the_remedy_for_an_impossible_budget_is_the_default(minutes):
    with fails(ConfigError, "config/out-of-range") as caught:
        TrainConfig(profile="line", minutes=minutes)
    assert caught.value.remedy == "--minutes 30"


def test_the_papers_sizes_are_kept_unless_a_budget_is_given(plates, fast):
    paper = TrainConfig(model="dskd", teacher="efficientnet_lite0", device="cpu")
    assert sized(plates, paper, {"model"}, started=now())[0] == paper
    short, _ = sized(plates, replace(paper, minutes=5.0), {"model", "minutes"}, started=now())
    assert (short.image_size, short.batch, short.epochs) == (256, 32, None)
    assert 0 < short.student_steps < 300


def test_a_resumed_training_is_timed_and_not_sized_again(plates, fast):
    config, _ = sized(plates, TrainConfig(**SMALL), SMALL, started=now())
    again, plan = sized(plates, config, (), started=now(), resume=True)
    assert again == config and plan.steps["student"] == config.student_steps


def test_a_budget_that_is_too_small_trains_nothing(plates, fast, tmp_path):
    with fails(ConfigError, "train/too-short") as caught:
        edgeseg.train(plates.root, minutes=0.1, runs_dir=tmp_path, **SMALL)
    assert caught.value.remedy.startswith("--minutes ") and not list(tmp_path.iterdir())


def test_the_sizes_in_a_card_repeat_its_training(plates, tmp_path, monkeypatch):
    def measure(self, side, batch):  # three steps fit the time
        steps = {phase: 100.0 for phase in self.steps}
        return Costs(side=side, batch=batch, steps=steps, before=1.0, after=1.0)

    monkeypatch.setattr(timing.StepTimer, "measure", measure)
    settings = SMALL | {"image_size": 64, "batch": 2, "head_steps": 1, "minutes": 7.4}
    settings |= {"student_rate": 1e-4}
    monkeypatch.setattr("edgeseg.training.plan.LEAST", 0.001)
    first = edgeseg.train(plates.root, name="a", runs_dir=tmp_path, preview=False, **settings)
    monkeypatch.setattr(timing.StepTimer, "measure", lambda *_: pytest.fail("sized again"))
    steps = read_card(first / CARD, ModelCard).steps
    assert steps == {"student": 3, "head": 1}
    settings = {k: v for k, v in settings.items() if k != "minutes"}
    settings |= {"student_steps": steps["student"]}
    monkeypatch.setattr("edgeseg.training.timing.TIMED", 1000)  # too short to be timed
    again = edgeseg.train(plates.root, name="b", runs_dir=tmp_path, preview=False, **settings)
    one, two = (load_file(run / "model.safetensors") for run in (first, again))
    assert all((one[name] == two[name]).all() for name in one)
