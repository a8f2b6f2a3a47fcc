"""Room on the disk: its size, its check and its reservation."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest
from torch import nn

from edgeseg.errors import WriteError
from edgeseg.files import PART
from edgeseg.recipes import TrainConfig
from edgeseg.training.keep import SPARE, check_training_room, file_sizes, release, reserved
from tests.kit.errors import fails


@pytest.mark.parametrize(
    ("optimizer", "ema", "tensors"), [("sgd", 0.0, 1), ("sgd", 0.9, 2), ("adam", 0.9, 3)]
)
def test_file_sizes_counts_weights_moments_and_the_average(optimizer, ema, tensors):
    frozen, trained = nn.Linear(10, 1, bias=False), nn.Linear(100, 1, bias=False)
    frozen.requires_grad_(False)
    config = TrainConfig(optimizer=optimizer, ema_decay=ema)
    weights, checkpoint = file_sizes(nn.ModuleList([frozen, trained]), config)
    assert weights == 4 * 110
    assert checkpoint == weights + tensors * 4 * 100


def test_a_disk_without_room_for_two_checkpoints_is_refused(tmp_path, monkeypatch):
    free = SPARE + 1 + 2 * 10
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    check_training_room(tmp_path, 1, 10)
    with fails(WriteError, "train/no-room") as caught:
        check_training_room(tmp_path, 2, 10)
    assert "--runs-dir" in caught.value.remedy


def test_a_reserve_has_its_size_and_is_gone_after_the_block(tmp_path):
    with reserved(tmp_path, 1000) as reserve:
        assert reserve.name.startswith(PART)
        if hasattr(os, "posix_fallocate"):
            assert reserve.stat().st_size == 1000
        with reserve.open("rb") as still_open:  # as its lock is
            release(reserve)
            assert os.fstat(still_open.fileno()).st_size == 0
        release(reserve)  # again has no effect
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), reserved(tmp_path, 1000):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_reserve_has_a_name_that_nobody_guesses(tmp_path):
    with reserved(tmp_path, 10) as one, reserved(tmp_path, 10) as other:
        assert one.name != other.name


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no service of this system")
@pytest.mark.parametrize(
    ("number", "refused"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EOPNOTSUPP, False)]
)
def test_a_full_disk_is_refused_and_a_file_system_without_the_service_is_not(
    tmp_path, monkeypatch, number, refused
):
    def allocate(descriptor, start, size):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    if refused:
        with pytest.raises(WriteError), reserved(tmp_path, 1000):
            pytest.fail("trained without room")
    else:
        with reserved(tmp_path, 1000) as reserve:
            assert reserve.exists()
    assert list(tmp_path.iterdir()) == []
