"""Which frames are kept, what happens when they cannot be, and that no record lies about it."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from edgeseg.station.config import EvidenceConfig
from edgeseg.station.evidence import keeper as module
from edgeseg.station.evidence.kept import kept_folders, read_kept
from edgeseg.station.evidence.quota import KeptFrames
from tests.kit.cards import make_card
from tests.kit.evidence import done, keep, make_judge, make_keeper, red
from tests.kit.stations import until


def kinds(folder):
    return [path.name.rpartition("-")[2] for path in kept_folders(folder)]


def test_what_is_not_good_is_kept_and_good_is_not(tmp_path):
    judge = make_judge(make_card(image_threshold=0.5))
    keeper = make_keeper(tmp_path, judge)
    places = [keep(keeper, judge, red(value), n).place for n, value in enumerate((0, 120, 255))]
    done(keeper)
    assert [bool(place) for place in places] == [False, False, True]
    assert kinds(tmp_path) == ["anomalous"]


def test_a_nearly_anomalous_frame_is_kept(tmp_path):
    judge = make_judge(make_card(image_threshold=0.5))
    keeper = make_keeper(tmp_path, judge, near=0.1)
    places = [keep(keeper, judge, red(value), value).place for value in (110, 120)]
    done(keeper)  # 0.431 and 0.471; near is from 0.45 on
    assert [bool(place) for place in places] == [False, True]
    assert kinds(tmp_path) == ["near"]


@pytest.mark.parametrize(
    ("rule", "size", "kept"),
    [
        ("area:100", 9, False),  # 81 pixels
        ("area:100", 10, True),  # 100 are not more than 100
        ("count:1", 9, True),
        ("count:2", 9, False),
        ("region", 0, False),
    ],
)
def test_near_is_measured_by_what_the_rule_compares(tmp_path, rule, size, kept):
    judge = make_judge(make_card(48, 64, side=(48, 64)), rule=rule)
    image = red(60)
    image[5 : 5 + size, 5 : 5 + size, 2] = 255
    keeper = make_keeper(tmp_path, judge, near=0.05)
    found = keep(keeper, judge, image)
    done(keeper)
    assert found.record.verdict == "good"
    assert bool(found.place) == kept


def test_near_a_region_is_a_value_of_the_map(tmp_path):
    judge = make_judge(make_card(side=(48, 64)), rule="region")
    keeper = make_keeper(tmp_path, judge, near=0.05)
    assert not keep(keeper, judge, red(115)).place
    assert keep(keeper, judge, red(125), 2).place
    done(keeper)


def test_a_share_of_the_good_frames_is_kept(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge, good_share=1.0)
    keep(keeper, judge, red(0))
    done(keeper)
    assert kinds(tmp_path) == ["good"]


def test_of_a_frozen_camera_one_frame_is_kept(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    for number in range(3):
        keep(keeper, judge, red(0), number, frozen=True)
    keep(keeper, judge, red(0), 3)
    keep(keeper, judge, red(0), 4, frozen=True)
    done(keeper)
    assert [path.name.split("-")[2] for path in kept_folders(tmp_path)] == ["00000000", "00000004"]


def test_a_quota_of_nothing_keeps_nothing(tmp_path):
    judge = make_judge()
    keeper = module.EvidenceKeeper(tmp_path)
    assert not keep(keeper, judge, red(255)).place
    done(keeper)
    assert list(tmp_path.iterdir()) == []


def test_a_quota_that_becomes_nothing_deletes_nothing(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    keep(keeper, judge, red(255))
    keeper.use(EvidenceConfig(quota_gb=0), 0.0, [judge.card])
    assert not keep(keeper, judge, red(255), 2).place
    assert done(keeper)["kept"] == 1
    assert kinds(tmp_path) == ["anomalous"]


def test_a_disk_that_does_not_answer_costs_records_their_evidence_and_nothing_else(
    tmp_path, monkeypatch
):
    gate, write = threading.Event(), module.write_kept
    monkeypatch.setattr(module, "write_kept", lambda *rest: gate.wait(120) and write(*rest))
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    places = [keep(keeper, judge, red(255), n).place for n in range(module.BUFFERS + 3)]
    assert [bool(place) for place in places] == [True] * module.BUFFERS + [False] * 3
    assert keeper.status()["missed"] == 3
    gate.set()
    assert until(lambda: keeper.kept == module.BUFFERS)
    assert keep(keeper, judge, red(255), 99).place  # the buffers are free again
    assert done(keeper)["kept"] == module.BUFFERS + 1


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    judge, full = make_judge(), threading.Event()
    write = module.write_kept

    def failing(folder, *rest):
        write(folder, *rest)
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_kept", failing)
    monkeypatch.setattr(module, "LOOK", 0.01)
    monkeypatch.setattr(module, "RETRY", 0.05)
    keeper = make_keeper(tmp_path, judge)
    full.set()
    broken = keep(keeper, judge, red(255)).place
    assert until(lambda: keeper.trouble)
    assert not (tmp_path / broken).exists()
    assert not keep(keeper, judge, red(255), 2).place
    full.clear()
    assert until(lambda: not keeper.trouble)
    assert keep(keeper, judge, red(255), 3).place
    status = done(keeper)
    assert (status["kept"], status["missed"], status["failed"]) == (1, 1, 1)
    assert list((tmp_path / "evidence").glob(".part-*")) == []


def test_the_reserve_of_the_disk_stays_free(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge, reserve_gb=10_000.0)
    assert until(lambda: "disk_reserve_gb" in keeper.trouble)
    assert not keep(keeper, judge, red(255)).place
    assert done(keeper)["missed"] == 1


def test_a_quota_full_of_defects_takes_no_good_frame(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge, good_share=1.0, quota_gb=60e-6)
    for number in range(10):
        keep(keeper, judge, red(255), number)
        assert until(lambda n=number: keeper.kept == n + 1)
    assert not keep(keeper, judge, red(0), 10).place
    assert keep(keeper, judge, red(255), 11).place
    done(keeper)
    assert set(kinds(tmp_path)) == {"anomalous"}
    assert kept_folders(tmp_path)[-1].name.split("-")[2] == "00000011"  # the oldest went


KILLED = """
import sys
from pathlib import Path
from tests.kit.evidence import keep, make_judge, make_keeper, red
judge = make_judge()
keeper = make_keeper(Path(sys.argv[1]), judge, quota_gb=100e-6)
for number in range(10**6):
    keep(keeper, judge, red(255), number)
    if keeper.kept >= 12:
        print("12", flush=True)
"""


def test_a_kill_leaves_whole_frames_only(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "12\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = kept_folders(tmp_path)
    assert found
    for path in found:
        assert read_kept(path).record.verdict == "anomalous"
    KeptFrames(tmp_path)
    assert list((tmp_path / "evidence").glob(".part-*")) == []
    assert kept_folders(tmp_path) == found


def test_a_reload_takes_larger_frames(tmp_path):
    small, large = make_judge(), make_judge(make_card(96, 128))
    keeper = make_keeper(tmp_path, small)
    keep(keeper, small, red(255))
    keeper.use(keeper._config, 0.0, [large.card])
    keep(keeper, large, red(255, (96, 128)), 2)
    done(keeper)
    shapes = [read_kept(path).frame.shape for path in kept_folders(tmp_path)]
    assert shapes == [(48, 64, 3), (96, 128, 3)]
