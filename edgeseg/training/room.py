"""Room on the disk for the files of a training, checked and reserved before the first step."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgeseg.errors import WriteError
from edgeseg.files import cannot_write, shown, temporary
from edgeseg.model.detector import Detector
from edgeseg.recipes import TrainConfig

MOMENTS = {"sgd": 1, "adam": 2}  # tensors that an optimizer keeps for each weight
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
SPARE = 16 << 20  # bytes, for the card, the history and the pictures
LAST = 4 << 20  # bytes beside the weights at the end: names of tensors, card, history, curves


def file_sizes(detector: Detector, config: TrainConfig) -> tuple[int, int]:
    """Return the bytes of model.safetensors, and at most those of resume.safetensors."""
    weights = sum(t.nbytes for t in detector.state_dict().values())
    trained = sum(p.nbytes for p in detector.parameters() if p.requires_grad)
    return weights, weights + trained * (MOMENTS[config.optimizer] + (config.ema_decay > 0))


def check_room(folder: Path, weights: int, checkpoint: int) -> None:
    """WriteError (`train/no-room`) if the files of a training do not fit on the disk.

    A checkpoint is written beside the one before it.
    """
    needed = weights + 2 * checkpoint + SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WriteError(
            f"the training needs {needed >> 20} MiB in {shown(folder)}, and {free >> 20} MiB are "
            "free",
            remedy="free disk space, or --runs-dir FOLDER on another disk",
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
