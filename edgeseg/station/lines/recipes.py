"""The recipes of a station: each model is loaded once, and each camera has requests of its own."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edgeseg.cards import GraphCard
from edgeseg.closing import Closing
from edgeseg.config import GpuConfig, StreamConfig
from edgeseg.errors import EdgesegError
from edgeseg.loading import open_model, warn_unchecked
from edgeseg.log import log
from edgeseg.prediction import single_frame
from edgeseg.runtime.base import Backend
from edgeseg.station.config import RecipeConfig, StationConfig
from edgeseg.station.following.current import models_of
from edgeseg.stream.pipeline.in_flight import open_requests
from edgeseg.stream.pipeline.judge import Judge


class Recipes(Closing):
    """The opened models of a station, by the name of their recipe."""

    def __init__(self, config: StationConfig, *, proven: bool = False) -> None:
        """proven: without models that are on trial.

        EdgesegError, with the recipe's name, for a model that cannot be opened.
        """
        self._config, self._proven = config, proven
        self._backends: dict[str, Backend] = {}
        with ExitStack() as stack:
            for recipe in config.recipe:
                try:
                    backend = stack.enter_context(self._opened(recipe))
                except EdgesegError as error:
                    problem = f"recipe {recipe.name}: {error.problem}"
                    raise type(error)(problem, remedy=error.remedy, code=error.code) from error
                self._backends[recipe.name] = backend
            self._stack = stack.pop_all()

    @property
    def cards(self) -> Mapping[str, GraphCard]:
        """The cards of the models, by recipe."""
        return {name: backend.card for name, backend in self._backends.items()}

    def judges(self, stream: StreamConfig, *, kept: int = 0) -> dict[str, Judge]:
        """Open what judges the frames of one camera: a judge for each recipe.

        stream: the settings of the camera; kept: frames that its source keeps.
        """
        found = {}
        for name, backend in self._backends.items():
            recipe = self._config.recipe_named(name)
            assert recipe is not None
            settings = replace(stream, **recipe.judging())
            requests = open_requests(backend.second(), settings, kept=kept)
            self._stack.callback(requests.close)
            found[name] = Judge(requests, backend.card, settings, recipe=name)
        return found

    def close(self) -> None:
        """Close the requests of all cameras, then the models."""
        self._stack.close()

    def _opened(self, recipe: RecipeConfig) -> Backend:
        *others, last = models_of(self._config, recipe, proven=self._proven)
        for path in others:
            try:
                return self._open(path, recipe)
            except EdgesegError as error:
                log.error(f"recipe {recipe.name}: {error.problem}; the model of before runs")
        return self._open(last, recipe)

    def _open(self, path: Path, recipe: RecipeConfig) -> Backend:
        own = path == self._config.base / recipe.model
        backend = open_model(
            path,
            runtime=recipe.runtime if own else None,
            threads=recipe.threads,
            gpu=GpuConfig(device=recipe.device),
        )
        single_frame(backend)
        warn_unchecked(backend.card)
        recipe.regions(of=backend.card.rule)
        return backend
