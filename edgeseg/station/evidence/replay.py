"""Judges kept frames again, by the same or by another model.

A graph of the same frames gets the bytes that were kept; another one gets the picture, brought to
its frames as that of a source. What the recipe overrides is applied: that of the station's file,
else as it was kept. Thresholds belong to one model: another one has its own.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.cards import GraphCard
from edgeseg.closing import Closing
from edgeseg.config import GpuConfig, ReplayConfig, StreamConfig
from edgeseg.errors import ConfigError, DataError
from edgeseg.frame.geometry import fit
from edgeseg.loading import find_engine, open_model, warn_unchecked
from edgeseg.log import log
from edgeseg.prediction import single_frame
from edgeseg.progress import task
from edgeseg.runtime.base import Backend
from edgeseg.station.config import OF_A_MODEL, RecipeConfig
from edgeseg.station.evidence.archive import Archive, one_recipe, open_archive
from edgeseg.station.evidence.keeper import hash_of
from edgeseg.station.evidence.kept import Kept, KeptRecord, read_kept
from edgeseg.station.evidence.replay_report import Replayed, ReplayReport
from edgeseg.station.following.current import models_of
from edgeseg.stream.pipeline.in_flight import InFlightRequest, InFlightRequests
from edgeseg.stream.pipeline.judge import SETTINGS, Judge
from edgeseg.stream.source.base import Frame
from edgeseg.verdict.names import FROZEN_CAMERA

ALL = ReplayConfig()


def replay(
    path: Path,
    model: Path | None = None,
    config: ReplayConfig = ALL,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    device: int = 0,
    strict: bool = False,
    newest: int | None = None,
) -> ReplayReport:
    """Judge the kept frames of a station again.

    path: as `open_archive`. model: judges them all; None: each recipe's of the station's file, or
    the newest engine for a folder. strict: `check` of the report refuses damaged frames. newest:
    how many frames without a label are judged; None: all.
    Errors: those of `open_archive`, and of models.
    """
    archive = open_archive(path, config.recipe).newest(newest)
    found, damaged = [], archive.damaged
    total = len(archive.records)
    with Models(archive, model, runtime, threads, device) as models, task("replay", total) as bar:
        for place, record in archive.records.items():
            judge = models.judge(record)
            try:
                kept = read_kept(place)
            except DataError as error:
                damaged.add(place, error)
            else:
                label = archive.labels.get(record.inspection.key, "")
                found.append(_again(kept, judge, label))
            bar.advance()
        damaged.refuse_all(len(found) + len(damaged.found))
        return ReplayReport(
            folder=archive.folder,
            models=models.names,
            frames=tuple(found),
            damaged=tuple(damaged.found),
            strict=strict,
            max_flip_rate=config.max_flip_rate,
        )


class Models(Closing):
    """What judges kept frames again: opened models, and a judge for each group of settings."""

    def __init__(
        self,
        archive: Archive,
        model: Path | None,
        runtime: str | None,
        threads: int | None,
        device: int,
    ) -> None:
        """ConfigError: frames of several recipes for one model, or of one that the file lacks."""
        self._config = archive.config
        self._judges: dict[str, Judge] = {}
        self._backends: dict[str, Backend] = {}
        self._told = False
        recipes = {record.inspection.recipe for record in archive.records.values()}
        self._one = model is not None or self._config is None
        if self._one:
            one_recipe(archive)
        with ExitStack() as stack:
            for name in sorted(recipes):
                backend = stack.enter_context(self._opened(name, model, runtime, threads, device))
                single_frame(backend)
                warn_unchecked(backend.card)
                self._backends[name] = backend
            self._stack = stack.pop_all()

    @property
    def names(self) -> tuple[str, ...]:
        """The models, with their runtimes."""
        found = (f"{each.card.name} ({each.name})" for each in self._backends.values())
        return tuple(dict.fromkeys(found))

    def judge(self, record: KeptRecord) -> Judge:
        """Return what judges a kept frame."""
        name = record.inspection.recipe
        backend = self._backends[name]
        settings = self._settings(record, backend.card)
        key = json.dumps([name, settings], sort_keys=True)
        if key not in self._judges:
            config = StreamConfig(window=False, **settings)
            request = InFlightRequest(backend.second(), config.threshold)
            requests = InFlightRequests((request,), None)
            self._judges[key] = Judge(requests, backend.card, config, recipe=name)
        return self._judges[key]

    def close(self) -> None:
        """Close the models."""
        self._stack.close()

    def _opened(
        self,
        name: str,
        model: Path | None,
        runtime: str | None,
        threads: int | None,
        device: int,
    ) -> Backend:
        """Open what judges the frames of a recipe; what was given overrides the station's file."""
        if self._one or self._config is None:
            path = find_engine(model, device=device)
        else:
            recipe = self._of_the_file(name)
            path, device = models_of(self._config, recipe)[0], recipe.device
            own = recipe.runtime if path == self._config.base / recipe.model else None
            runtime, threads = runtime or own, threads or recipe.threads
        return open_model(path, runtime=runtime, threads=threads, gpu=GpuConfig(device=device))

    def _of_the_file(self, name: str) -> RecipeConfig:
        """Return a recipe of the station's file, which was named."""
        assert self._config is not None
        recipe = self._config.recipe_named(name)
        if recipe is None:
            known = ", ".join(each.name for each in self._config.recipe)
            raise ConfigError(
                f"frames were kept with the recipe '{name}', which is not in the station's file "
                f"({known})",
                remedy="name a model, or choose the frames of another recipe with --recipe",
                code="station/no-recipe",
            )
        return recipe

    def _settings(self, record: KeptRecord, card: GraphCard) -> dict[str, Any]:
        """Return what overrides the settings of the model."""
        config = self._config
        found = {name: record.recipe[name] for name in SETTINGS if name in record.recipe}
        recipe = config.recipe_named(record.inspection.recipe) if config else None
        if recipe is not None:
            found = {name: value for name, value in recipe.judging().items() if value is not None}
        if not self._one or card.weights_sha256 == record.weights_sha256:
            return found
        if not self._told and set(OF_A_MODEL) & set(found):
            log.info(f"the thresholds of the recipe are of another model: {card.name} has its own")
            self._told = True
        return {name: value for name, value in found.items() if name not in OF_A_MODEL}


def _again(kept: Kept, judge: Judge, label: str) -> Replayed:
    """Judge a kept frame."""
    record, request = kept.record, judge.requests[0]
    if _fits(record, judge.card):
        request.refill(kept.frame, record.picture, lost=record.lost)
    else:
        request.fill(kept.image, "bgr")
        request.sizes = record.picture, request.sizes[1]
    request.start()
    request.finish()
    frame = Frame(frozen=record.reason == FROZEN_CAMERA)
    found = judge.judged(frame, request, 0.0)
    slot = request.slot
    same_score = found.score == record.score or (
        record.score is None and found.score != found.score
    )
    return Replayed(
        path=str(kept.path),
        key=record.inspection.key,
        recipe=record.inspection.recipe,
        model=judge.card.name,
        was=record.verdict,
        verdict=found.verdict,
        reason=found.reason,
        was_score=record.score,
        score=found.score,
        label=label,
        equal=same_score
        and np.array_equal(slot.mask[0], kept.mask)
        and slot.anomaly_map[0].tobytes() == kept.anomaly_map.tobytes(),
    )


def _fits(record: KeptRecord, card: GraphCard) -> bool:
    """Whether a graph takes the bytes that were kept as they are."""
    if (record.frame_format, record.frame_shape) != (card.frame_format, card.frame_shape[1:]):
        return False
    if fit(record.picture, card.frame_size, card.aspect) != record.shown:
        return False
    finds = card.roi is not None and card.roi.locate is not None
    return not finds or hash_of(card) == record.card_sha256  # the part was moved to its place
