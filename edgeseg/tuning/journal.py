"""The trials in Optuna's journal, one file in the output folder: what was tried, and what is next.

Each trial of the journal is one training: a recipe on a rung. Optuna proposes recipes (TPE) and
keeps the results; asha.py promotes. Only the process that holds the lock of the folder writes.

A trial that is RUNNING when the journal is opened belongs to a process that was killed, and would
stay so for ever: it is retired (FAIL), and its recipe is trained again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError
from edgeseg.files import cannot_write, quoted, shown
from edgeseg.packages.extras import require
from edgeseg.tuning.asha import TriedRecipe
from edgeseg.tuning.space import Choices

JOURNAL, STUDY = "journal.log", "tune"
PROPOSALS = 20  # until a recipe is new
BOUND = ("data", "settings")
WHAT = {"data": "other images", "settings": "other settings"}


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial of the journal."""

    number: int
    recipe: int
    rung: int
    choices: Choices
    state: str
    """`done`, `failed`, `running`, or `retired` of a killed process."""
    score: float | None
    facts: dict[str, Any]
    """Figures for the table, or the `problem` of a trial that failed."""

    @property
    def tried(self) -> TriedRecipe:
        """The same for asha.py."""
        return TriedRecipe(self.recipe, self.rung, self.score)


class TrialJournal:
    """The study of one output folder."""

    def __init__(
        self, folder: Path, space: Mapping[str, tuple[Any, ...]], bound: dict[str, str], seed: int
    ) -> None:
        """Open or begin the journal; bound: hashes of `data` and `settings`, which stay the same.

        A journal without a trial is bound anew: its budget was refused, or never used. ConfigError
        (`tune/changed`) for trials of other data or settings; MissingExtra.
        """
        optuna = require("optuna", extra="tune")
        backends = require("optuna.storages.journal", extra="tune")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        path = folder / JOURNAL
        _mend(path)
        try:
            storage = optuna.storages.JournalStorage(backends.JournalFileBackend(str(path)))
            self.study = optuna.create_study(
                storage=storage,
                study_name=STUDY,
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True),
            )
        except (ValueError, LookupError, TypeError, AssertionError) as error:  # no journal
            raise ConfigError(
                f"cannot read the journal {shown(path)}: {error}",
                remedy=f"--out {quoted(folder.with_name(folder.name + '-2'))} begins a new one",
                code="tune/damaged-journal",
            ) from error
        self.bound_anew = self._bind(folder, bound)
        self._space = {
            name: optuna.distributions.CategoricalDistribution(values)
            for name, values in space.items()
        }
        self.retired = self._retire()

    def _bind(self, folder: Path, bound: dict[str, str]) -> bool:
        """Return whether what was bound before has changed, and no trial depends on it."""
        before = self.study.user_attrs
        changed = [name for name in BOUND if before.get(name, bound[name]) != bound[name]]
        if changed and self.study.get_trials(deepcopy=False):
            raise ConfigError(
                f"the trials in {shown(folder)} were made with {WHAT[changed[0]]} (expected the "
                "same, because their scores are compared)",
                remedy=f"--out {quoted(folder.with_name(folder.name + '-2'))}, or the data and "
                "the settings of before",
                code="tune/changed",
            )
        for name in BOUND:
            if before.get(name) != bound[name]:
                self.study.set_user_attr(name, bound[name])
        return bool(changed)

    def _retire(self) -> int:
        states, storage = self._optuna.trial.TrialState, self.study._storage
        left = self.study.get_trials(states=(states.RUNNING, states.WAITING))
        for trial in left:
            storage.set_trial_user_attr(trial._trial_id, "retired", True)
            if trial.state == states.WAITING:
                storage.set_trial_state_values(trial._trial_id, states.RUNNING)
            self.study.tell(trial.number, state=states.FAIL)
        return len(left)

    @property
    def spent(self) -> float:
        """Seconds of all sessions so far."""
        return float(self.study.user_attrs.get("spent", 0.0))

    def spend(self, seconds: float) -> None:
        """Remember the seconds of all sessions."""
        self.study.set_user_attr("spent", seconds)

    def rows(self) -> Iterator[TrialRow]:
        """Yield all trials, in the order in which they began."""
        for trial in self.study.get_trials(deepcopy=False):
            facts = dict(trial.user_attrs)
            if "rung" not in facts:  # the last that `propose` notes
                continue
            state = {"COMPLETE": "done", "RUNNING": "running", "WAITING": "running"}.get(
                trial.state.name, "retired" if facts.pop("retired", False) else "failed"
            )
            yield TrialRow(
                number=trial.number,
                recipe=facts.pop("recipe"),
                rung=facts.pop("rung"),
                choices=dict(trial.params),
                state=state,
                score=trial.value if state == "done" else None,
                facts=facts,
            )

    def tried(self) -> list[TriedRecipe]:
        """Return what need not be tried again."""
        return [row.tried for row in self.rows() if row.state != "retired"]

    def begin(self, choices: Choices, recipe: int, rung: int) -> int:
        """Begin a trial and return its number."""
        attributes = {"recipe": recipe, "rung": rung}
        self.study.enqueue_trial(choices, user_attrs=attributes)
        return int(self.study.ask(self._space).number)

    def propose(self) -> tuple[int, Choices] | None:
        """Begin a trial of a recipe that is new: (number, choices); None if there is none."""
        known = [row.choices for row in self.rows()]
        for _ in range(PROPOSALS):
            trial = self.study.ask(self._space)
            if trial.params not in known:
                trial.set_user_attr("recipe", len(self.recipes()))
                trial.set_user_attr("rung", 0)
                return trial.number, dict(trial.params)
            self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return None

    def recipes(self) -> dict[int, Choices]:
        """Return recipe -> its choices."""
        return {row.recipe: row.choices for row in self.rows()}

    def keep(self, name: str, value: Any) -> None:
        """Propose no other value of a choice."""
        self._space[name] = self._optuna.distributions.CategoricalDistribution((value,))

    def end(self, number: int, score: float, facts: dict[str, Any]) -> None:
        """Record the score of a trial."""
        self._note(number, facts)
        self.study.tell(number, score)

    def fail(self, number: int, problem: str) -> None:
        """Record why a trial has no score; it is not tried again."""
        self._note(number, {"problem": problem})
        self.study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def _note(self, number: int, facts: dict[str, Any]) -> None:
        trial_id = self.study._storage.get_trial_id_from_study_id_trial_number(
            self.study._study_id, number
        )
        for name, value in facts.items():
            self.study._storage.set_trial_user_attr(trial_id, name, value)


def _mend(path: Path) -> None:
    """Remove what a full disk or a killed process left: half a last line, and Optuna's lock.

    The next line would be glued to the half one, and Optuna waits half a minute for its lock. Only
    the process that holds the lock of the folder may do so. WriteError.
    """
    try:
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
        with path.open("rb+") as file:
            text = file.read()
            file.truncate(text.rfind(b"\n") + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error
