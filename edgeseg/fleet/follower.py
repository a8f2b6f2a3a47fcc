"""The process that follows tags: it looks for newer models, and puts them in place between parts.

    python -m edgeseg.fleet.follower STATION_FILE LINK LIFE     started by the supervisor, nice 19

    ask      which digest does the tag name?
    attempt  pull, engine, gate: a process of its own (attempt.py); what runs is not touched
    trial    `current.json` names the new model, the inspector opens it beside the old one and goes
             over between two frames; one that cannot be opened changes nothing
    kept     after `trial_s` seconds of inspection; the model of before is kept, others are deleted

Killed at any point it begins again, also a trial that was under way; one during which the inspector
ended has ended too, with the model of before.
"""

import hashlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edgeseg.closing import leave
from edgeseg.errors import EdgesegError
from edgeseg.fleet.attempt import Attempted, wanted_digest
from edgeseg.fleet.pull import folder_name
from edgeseg.log import log
from edgeseg.schema import build, parse
from edgeseg.station.child import Child, run_child, weigh_session
from edgeseg.station.config import RecipeConfig, StationConfig, read_station
from edgeseg.station.following.current import (
    Followed,
    folder_of,
    read_current,
    write_current,
)
from edgeseg.station.following.state import Following, read_following, write_following
from edgeseg.station.link import Link

LONGEST_ATTEMPT = 4 * 3600.0  # seconds; the builder of TensorRT may take an hour
LONGEST_SWITCH = 300.0  # seconds for the inspector to open a model
MOST_ENDED, MOST_KILLED = 2, 3  # trials and attempts, after which a model is refused
SHORT, SHARE = 60.0, 0.1
"""A failed attempt of fewer seconds is tried again; a longer one may use this share of the time."""
STEP = 0.1


class Follower:
    """Follows the tags of one station."""

    def __init__(self, file: Path, config: StationConfig, link: Link, child: Child) -> None:
        self._file, self._config, self._link, self._child = file, config, link, child
        self._proven = ""
        """Digest of the model on trial, if all that is left is to note that it is kept."""
        self._unwritten: dict[str, Following] = {}
        """By recipe: states for which the disk had no space."""
        self._pauses: dict[str, tuple[Following, float]] = {}
        """By recipe: the state after a long attempt that failed, and until when it is not tried."""

    def run(self) -> None:
        """Follow until the station ends or its file is read again."""
        while not self._over:
            for recipe in self._config.recipe:
                if recipe.follow and not self._over:
                    self.look(recipe)
            end = time.monotonic() + self._config.fleet.poll_s * random.uniform(0.9, 1.1)
            while time.monotonic() < end and not self._over:
                time.sleep(STEP)

    def look(self, recipe: RecipeConfig) -> None:
        """Ask the registry once, and take a newer model if there is one."""
        folder = folder_of(self._config.folder, recipe.name)
        before = self._unwritten.get(recipe.name) or read_following(folder)
        state = self._state(folder, recipe, before)
        try:
            current = read_current(folder)
            if current.ended and state.settings != before.settings:
                write_current(folder, replace(current, ended={}))
            if current.trial:  # its follower has ended, or could not note the end
                state = self._tried_again(recipe, state)
            wanted = wanted_digest(self._config, recipe)
            if wanted not in (state.wanted, state.running):
                log.info(f"recipe {recipe.name}: {recipe.follow} is now {wanted}")
            state = replace(state, wanted=wanted, answered=time.time(), problem="")
            state = self._taken(folder, recipe, state)
        except EdgesegError as error:
            state = replace(state, problem=f"{error.problem} [{error.code}]")
        state = self._now(folder, state)
        if state.problem and _without_numbers(state.problem) != _without_numbers(before.problem):
            log.error(f"recipe {recipe.name}: {state.problem}; the model of before runs on")
        if before.problem and not state.problem:
            log.info(f"recipe {recipe.name}: its tag can be followed again")
        try:
            write_following(folder, state)
            self._unwritten.pop(recipe.name, None)
        except EdgesegError as error:
            if recipe.name not in self._unwritten:
                log.error(f"recipe {recipe.name}: {error.problem}")
            self._unwritten[recipe.name] = state

    @property
    def _over(self) -> bool:
        return self._child.over or self._child.reload_asked

    def _state(self, folder: Path, recipe: RecipeConfig, before: Following) -> Following:
        found = replace(before, problem="")
        settings = repr((self._config.fleet, recipe)).encode()
        print_of = hashlib.sha256(settings).hexdigest()[:16]
        if found.settings != print_of:
            found = replace(found, settings=print_of, refused={}, killed={})
        return self._now(folder, found)

    def _now(self, folder: Path, state: Following) -> Following:
        now = read_current(folder).now
        return replace(state, running=now.digest if now else "")

    def _taken(self, folder: Path, recipe: RecipeConfig, state: Following) -> Following:
        """Take the wanted model if it is another one; return the state after it."""
        if state.wanted == state.running:
            return state
        reason = _refusal(folder, state)
        state = _refused(state, reason) if reason else self._attempted(recipe, state)
        self._clean(folder, state)
        return state

    def _attempted(self, recipe: RecipeConfig, state: Following) -> Following:
        """Make the wanted model ready and try it, unless a pause is due; return the state after."""
        failed, end = self._pauses.get(recipe.name, (state, 0.0))
        if failed.wanted == state.wanted and time.monotonic() < end:
            return replace(state, problem=failed.problem)
        began = time.monotonic()
        found = self._attempt(recipe, state.wanted)
        if found is None and self._over:
            return state
        took = time.monotonic() - began
        state = self._outcome(recipe, state, found)
        if found is not None and found.outcome == "failed" and took >= SHORT:
            self._pauses[recipe.name] = state, time.monotonic() + took * (1 / SHARE - 1)
        return state

    def _outcome(
        self, recipe: RecipeConfig, state: Following, found: Attempted | None
    ) -> Following:
        """Return the state after an attempt; one that is ready is put on trial."""
        if found is None:
            count = state.killed.get(state.wanted, 0) + 1
            state = replace(state, killed=state.killed | {state.wanted: count})
            reason = f"{count} attempts to make it ready ended without a word"
            return _refused(state, reason) if count >= MOST_KILLED else _failed(state, reason)
        if found.outcome == "refused":
            return _refused(state, found.reason)
        if found.outcome != "ready":
            return _failed(state, f"{found.outcome}: {found.reason}")
        return self._switched(recipe, state, found)

    def _attempt(self, recipe: RecipeConfig, digest: str) -> Attempted | None:
        """Run an attempt; None: it did not end as it should, or the station ends."""
        command = [sys.executable, "-m", "edgeseg.fleet.attempt"]
        command += [str(self._file), recipe.name, digest]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
            try:
                end = time.monotonic() + LONGEST_ATTEMPT
                while process.poll() is None:
                    if self._over or time.monotonic() > end:
                        return None
                    time.sleep(STEP)
                assert process.stdout is not None
                outcome = process.stdout.read()
            finally:
                process.kill()
        try:
            return build(Attempted, parse(outcome))
        except ValueError:
            return None

    def _switched(self, recipe: RecipeConfig, state: Following, found: Attempted) -> Following:
        """Put a model on trial; keep it, or go back."""
        folder = folder_of(self._config.folder, recipe.name)
        before = read_current(folder)
        new = Followed(digest=state.wanted, model=found.model, signed_at=found.signed_at)
        write_current(folder, replace(before, now=new, before=before.now, trial=True))
        began, self._proven = time.monotonic(), ""
        if problem := self._kept(folder):
            again = read_current(folder).ended != before.ended  # it may be no fault of the model
            return _failed(state, problem) if again else _refused(state, problem)
        steps = ", ".join(f"{step} {s:.1f} s" for step, s in found.seconds.items())
        log.info(
            f"recipe {recipe.name}: {state.wanted} runs; engine {found.how}, {steps} of "
            f"{found.frames} frames, switch and trial {time.monotonic() - began:.1f} s"
        )
        return state

    def _tried_again(self, recipe: RecipeConfig, state: Following) -> Following:
        """Begin a trial again, of which nobody knows how it went; return the state after it."""
        folder = folder_of(self._config.folder, recipe.name)
        digest, ended = state.running, read_current(folder).ended
        if problem := self._kept(folder):
            if read_current(folder).ended == ended:
                state = replace(state, refused=state.refused | {digest: problem})
            return self._now(folder, state)
        log.info(f"recipe {recipe.name}: {digest} runs, after a trial that was begun again")
        return state

    def _kept(self, folder: Path) -> str:
        """Keep the model that is on trial; else go back, and return why."""
        digest = getattr(read_current(folder).now, "digest", "")
        if self._proven != digest:
            try:
                problem = self._tried(folder)
            except BaseException:  # the station ends: the next start begins anew
                self._go_back(folder)
                raise
            if problem:
                return problem
            self._proven = digest
        current = read_current(folder)
        assert current.now is not None
        newest = max(current.newest_signature, current.now.signed_at)
        write_current(folder, replace(current, trial=False, newest_signature=newest))
        return ""

    def _tried(self, folder: Path) -> str:
        """Let the inspector open the model that is on trial; return why it does not stay."""
        while self._link.receive(0):  # of a follower before
            pass
        self._link.send({"switch": True})
        end, switched = time.monotonic() + LONGEST_SWITCH, None
        while switched is None:
            if self._child.over:
                raise SystemExit(0)
            switched = (self._link.receive(STEP) or {}).get("switched")
            if not read_current(folder).trial:
                return "the inspector ended when it opened it"
            if switched is None and time.monotonic() > end:
                self._go_back(folder)
                self._link.send({"switch": True})
                return f"the inspector did not open it in {LONGEST_SWITCH:.0f} s"
        if not switched:
            self._go_back(folder)
            return "the inspector could not open it, see the log"
        end = time.monotonic() + self._config.fleet.trial_s
        while time.monotonic() < end:
            if self._child.over:
                raise SystemExit(0)
            time.sleep(STEP)
            if not read_current(folder).trial:
                return "the inspector ended while it was on trial"
        return ""

    def _go_back(self, folder: Path) -> None:
        current = read_current(folder)
        if current.trial:
            write_current(folder, current.returned(ended=False))

    def _clean(self, folder: Path, state: Following) -> None:
        """Delete the models that neither run, nor ran before, nor are to be tried again."""
        current = read_current(folder)
        kept = {Path(e.model).parts[0] for e in (current.now, current.before) if e is not None}
        if state.wanted not in state.refused:
            kept.add(folder_name(state.wanted))
        for path in folder.glob("*"):
            if path.is_dir() and path.name not in kept:
                with suppress(OSError):
                    shutil.rmtree(path)


def _refusal(folder: Path, state: Following) -> str:
    """Return why the wanted model is not tried again; empty: it may be."""
    if read_current(folder).ended.get(state.wanted, 0) >= MOST_ENDED:
        return "the inspector or the station ended during two trials"
    return state.refused.get(state.wanted, "")


def _refused(state: Following, reason: str) -> Following:
    refused = state.refused | {state.wanted: reason}
    return replace(state, refused=refused, problem=f"{state.wanted} is not used: {reason}")


def _without_numbers(problem: str) -> str:
    """Return a problem without the numbers in it, such as those of free bytes."""
    return re.sub(r"\b[0-9]+\b", "", problem)


def _failed(state: Following, reason: str) -> Following:
    return replace(state, problem=f"{state.wanted} is not used yet: {reason}")


def main(file: Path, link: Link, child: Child) -> None:
    """Follow until the supervisor says that it is over, or the file is to be read again."""
    weigh_session()  # attempts are in this session, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # also while a registry does not answer
    config = read_station(file)
    child.ready()
    Follower(file, config, link, child).run()


if __name__ == "__main__":
    leave(run_child(main, sys.argv[1:]))
