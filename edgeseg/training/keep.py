"""Keep what was trained: checkpoints during the training, and the weights at its end.

A checkpoint that cannot be written is tried again at the next one; at a stop or at the end the
state is then written to the folder of temporary files. Room on the disk is checked and reserved
before the first step.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.cards import CARD, ModelCard, write_card
from edgeseg.errors import Interrupted, WriteError
from edgeseg.files import cannot_write, check_room, quoted, shown, temporary
from edgeseg.interrupt import Stop, stop_at_once
from edgeseg.log import log
from edgeseg.model.detector import Detector
from edgeseg.recipes import TrainConfig
from edgeseg.training.checkpoint import save_checkpoint, save_weights
from edgeseg.training.folder import RESUME, Facts, resume_command
from edgeseg.training.history import History
from edgeseg.training.step import Stepper

MOMENTS = {"sgd": 1, "adam": 2}  # tensors that an optimizer keeps for each weight
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
SPARE = 16 << 20  # bytes, for the card, the history and the pictures
LAST = 4 << 20  # bytes beside the weights at the end: names of tensors, card, history, curves


@dataclass
class Keeper:
    """Writes the state of a training to its folder."""

    run: Path
    folder: Path
    reserve: Path
    """File whose room is given up for what is written last."""
    facts: Facts
    history: History
    detector: Detector

    def save(self, phase: int, step: int, stepper: Stepper) -> None:
        """Write a checkpoint; a failure is logged, and the training goes on."""
        try:
            self._write(self.folder, phase, step, stepper)
            self.history.save()
        except WriteError as error:
            log.warning(f"step {step} was not saved: {error.problem}; the training continues")

    def keep(self, phase: int, step: int, stepper: Stepper | None = None) -> None:
        """Write a checkpoint, if need be outside the run.

        WriteError: it is outside, and the remedy says how to bring it back.
        """
        release(self.reserve)
        try:
            self._write(self.folder, phase, step, stepper)
            self.history.save()
        except WriteError as error:
            raise self._outside(error, phase, step, stepper) from error

    def _write(self, folder: Path, phase: int, step: int, stepper: Stepper | None) -> None:
        optimizer = stepper.optimizer_state() if stepper else {}
        ema = stepper.ema.state() if stepper else {}
        facts = replace(self.facts, phase=phase, step=step)
        save_checkpoint(folder, self.detector, optimizer, ema, facts)

    def _outside(
        self, error: WriteError, phase: int, step: int, stepper: Stepper | None
    ) -> WriteError:
        """Write a checkpoint to the folder of temporary files, and tell the way back."""
        again = resume_command(self.run)
        try:
            folder = Path(tempfile.mkdtemp(prefix="edgeseg-"))
            self._write(folder, phase, step, stepper)
        except (OSError, WriteError):
            last = "the last checkpoint is kept" if (self.folder / RESUME).is_file() else "lost"
            return WriteError(f"{error.problem} ({last})", remedy=f"{error.remedy}\n       {again}")
        kept = folder / RESUME
        return WriteError(
            f"{error.problem}; what was trained is kept in {shown(kept)}",
            remedy=f"{error.remedy}, then:\n"
            f"       mv {quoted(kept)} {quoted(self.folder / RESUME)}\n       {again}",
            code="train/kept-outside",
        )


@contextmanager
def kept_if_stopped(keeper: Keeper, phases: int, stop: Stop) -> Iterator[None]:
    """Interrupt what follows the last step at once, and keep what was trained.

    phases: their number, which is the phase of a checkpoint with nothing left to train. stop: what
    was asked before. Interrupted: stopped.
    """
    try:
        with stop_at_once():
            if stop.requested:
                raise KeyboardInterrupt
            yield
    except KeyboardInterrupt as error:
        keeper.keep(phases, 0)
        raise Interrupted(
            "training interrupted after its last step; saved", remedy=resume_command(keeper.run)
        ) from error


def store(keeper: Keeper, card: ModelCard, phases: int) -> None:
    """Write the weights and the card, which marks the run as finished; phases: their number."""
    release(keeper.reserve)
    try:
        keeper.history.save()
        digest = save_weights(keeper.folder, keeper.detector)
        write_card(keeper.folder / CARD, replace(card, weights_sha256=digest))
    except WriteError as error:
        log.warning(error.problem)
        keeper.keep(phases, 0)
        raise WriteError(
            f"{error.problem}; what was trained is kept in {shown(keeper.folder / RESUME)}",
            remedy=f"{error.remedy}, then:\n       {resume_command(keeper.run)}",
        ) from error


def file_sizes(detector: Detector, config: TrainConfig) -> tuple[int, int]:
    """Return the bytes of model.safetensors, and at most those of resume.safetensors."""
    weights = sum(t.nbytes for t in detector.state_dict().values())
    trained = sum(p.nbytes for p in detector.parameters() if p.requires_grad)
    return weights, weights + trained * (MOMENTS[config.optimizer] + (config.ema_decay > 0))


def check_training_room(folder: Path, weights: int, checkpoint: int) -> None:
    """WriteError (`train/no-room`) if the files of a training do not fit on the disk.

    A checkpoint is written beside the one before it.
    """
    check_room(
        folder,
        weights + 2 * checkpoint + SPARE,
        "the training needs",
        remedy="free disk space, or --runs-dir FOLDER (for trials of tune --out FOLDER) on "
        "another disk",
        code="train/no-room",
    )


@contextmanager
def reserved(folder: Path, size: int) -> Iterator[Path]:
    """Reserve bytes with a file until they are released; it does not outlive the block.

    WriteError if the folder is not writable or the disk is full.
    """
    try:
        held, reserve = temporary(folder, "")  # removed with those of dead processes after a kill
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        _allocate(held, size, folder)
        yield reserve
    finally:
        os.close(held)
        with suppress(OSError):
            reserve.unlink(missing_ok=True)


def release(reserve: Path) -> None:
    """Give up the bytes of a reserve, whose file is still open for its lock."""
    with suppress(OSError):
        os.truncate(reserve, 0)
        reserve.unlink()


def _allocate(held: int, size: int, folder: Path) -> None:
    allocate = getattr(os, "posix_fallocate", None)  # not on macOS and Windows
    if allocate is None:
        return
    try:
        allocate(held, 0, size)
    except OSError as error:
        if error.errno in _FULL:  # any other: the file system does not offer it
            raise cannot_write(folder, error) from error
