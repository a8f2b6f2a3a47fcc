"""One trial: train a recipe for a time, judge it, keep the figures and nothing else.

trials/<recipe>-<rung>/result.json      what was found; a trial that has it is not run again
trials/<recipe>-<rung>/run/             while it trains
"""

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeseg.cards import CARD, ModelCard, write_card
from edgeseg.data.frames import evenly
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.errors import ModelError
from edgeseg.files import shown, write_atomic
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.machine.threads import limit_threads
from edgeseg.recipes import TrainConfig
from edgeseg.schema import build, parse
from edgeseg.training.plan import Costs
from edgeseg.tuning.judge import GoodParts, JudgingImage, judging_images, split_parts
from edgeseg.tuning.score import TrialScores, judge_model
from edgeseg.tuning.sizes import Seconds, plan_training, recipe_of, with_judging, with_sizes

RESULT, RUN = "result.json", "run"
JUDGED = 8  # images at a time: of small ones, one at a time takes three times as long
MOST_PARTS = 200  # good parts that a trial reads; more would be read in the time of its steps


@dataclass(frozen=True, kw_only=True)
class TrialJob:
    """A recipe to train for a time; a pure function of these fields and the data."""

    data: Path
    folder: Path
    judge: Path
    """Folder of the judging images; drawn if it is missing."""
    config: TrainConfig
    """The recipe; its sizes come from the time."""
    times: float
    """The recipe wants so many times the profile's steps."""
    given: tuple[str, ...]
    """Settings that every recipe keeps."""
    score_maps: tuple[str | None, ...]
    """Levels of the image score to judge with, the recipe's own first."""
    seconds: float
    """For the whole trial."""
    known: Seconds
    """What a step costs, as far as other trials know."""
    overhead: float
    """Seconds of a trial beside its steps, as far as others know."""
    defect_share: float = 0.0
    threads: int | None = None

    @property
    def result(self) -> Path:
        """The file with what was found."""
        return self.folder / RESULT


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a trial found."""

    scores: TrialScores
    score_maps: str | None
    """Levels of the image score that judged best; None where the method has none."""
    image_size: int
    steps: dict[str, int]
    step_seconds: dict[str, float]
    seconds: float
    """Of the whole trial."""
    overhead: float
    """Of these, beside the steps and the timing of steps."""


def run_trial(job: TrialJob) -> None:
    """Train and judge a recipe, and write the result below the folder of the job.

    Errors: those of `train`; a trial that was killed leaves nothing that another one would read.
    """
    if job.result.is_file():
        return
    began = time.perf_counter()
    limit_threads(job.threads)
    from edgeseg.training.timing import StepTimer
    from edgeseg.training.train import train

    dataset, config = open_dataset(job.data), job.config
    parts = split_parts(dataset, config, job.defect_share)
    small = reduced(dataset, parts)
    run = job.folder / RUN
    shutil.rmtree(run, ignore_errors=True)
    with quiet():
        images = judging_images(parts, job.judge, config.seed)
        recipe = recipe_of(config, job.times, job.given, len(small.train))
        known = {
            side: Costs(side=side, batch=config.batch, steps=steps, before=job.overhead, after=0.0)
            for side, steps in job.known.items()
        }
        timer = None if known else StepTimer(small, config, resume=False)

        def measure(side: int, batch: int) -> Costs:
            assert timer is not None, f"nothing is timed at {side} px"
            return with_judging(timer.measure(side, batch), len(images) * len(job.score_maps))

        spent = time.perf_counter() - began if timer else 0.0
        plan = plan_training(recipe, job.seconds - spent, known, measure, exact=False)
        timed = time.perf_counter() - began - spent if timer else 0.0
        sized = with_sizes(config, plan, job.given)
        sized = dataclasses.replace(sized, save_every=10_000_000)
        card = train(small, sized, run, preview=False, input_check=False)
        scores, levels = _judge(run, card, job.score_maps, images, sized.device)
    per_step = {phase: card.seconds[phase] / max(n, 1) for phase, n in card.steps.items()}
    seconds = time.perf_counter() - began
    result = TrialResult(
        scores=scores,
        score_maps=levels,
        image_size=sized.image_size,
        steps=card.steps,
        step_seconds=per_step,
        seconds=seconds,
        overhead=max(seconds - timed - sum(card.seconds.values()), 0.0),
    )
    write_atomic(job.result, json.dumps(asdict(result)).encode())
    shutil.rmtree(run, ignore_errors=True)


def read_trial(path: Path) -> TrialResult:
    """Read the result of a trial; ModelError (`tune/damaged-result`)."""
    try:
        return build(TrialResult, parse(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read the result of a trial: {shown(path)}: {error}",
            remedy="restore the file, or begin another search: --out FOLDER",
            code="tune/damaged-result",
        ) from error


def reduced(dataset: Dataset, parts: GoodParts) -> Dataset:
    """Return the data set of a trial: some of the parts, none held out, no test set."""
    chosen = [parts.training[place] for place in evenly(len(parts.training), MOST_PARTS)]
    return dataclasses.replace(dataset, train=tuple(chosen), held=(), test=(), known=None)


@contextmanager
def quiet() -> Iterator[None]:
    """Log warnings alone: dozens of trainings would hide what matters."""
    before = log.level
    log.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(before)


def _judge(
    run: Path,
    card: ModelCard,
    levels_of_score: Sequence[str | None],
    images: Sequence[JudgingImage],
    device: str,
) -> tuple[TrialScores, str | None]:
    """Judge a run with each choice of score levels; its own unless another is clearly better."""
    best: tuple[TrialScores, str | None] | None = None
    for levels in levels_of_score:
        settings = card.config | {"score_maps": levels}
        write_card(run / CARD, dataclasses.replace(card, config=settings))
        opened = open_run(run, sets_thresholds=True, device=device, batch=JUDGED)
        with closing(opened) as backend:
            scores = judge_model(backend, images)
        if best is None:
            best = scores, levels
            continue
        gain, error = scores.gain_over(best[0])
        if gain > error:
            best = scores, levels
    assert best is not None
    return best
