"""What goes first when the quota is full."""

from pathlib import Path

import pytest

from edgeseg.station.evidence.quota import BLOCK, KINDS, KeptFrames, place_of
from edgeseg.station.page.labels import PartLabels
from tests.kit.stations import inspection


def put(frames, number, kind, size=BLOCK):
    def write(folder: Path):
        folder.mkdir()
        (folder / "frame.png").write_bytes(bytes(size))

    place = place_of(inspection(number, decided=1000.0 + number), kind)
    frames.put(place, kind, write)
    return place


def there(folder):
    return [path.name.split("-")[2][-1] for path in sorted(folder.glob("evidence/*/*"))]


def test_good_frames_go_before_others_and_the_oldest_first(tmp_path):
    frames = KeptFrames(tmp_path)
    order = ["anomalous", "unknown", "good", "near", "good", "anomalous"]
    for number, kind in enumerate(order):
        put(frames, number, kind)
    assert sum(frames.sizes.values()) == 12 * BLOCK
    gone = []
    for left in range(5, -1, -1):
        before = set(there(tmp_path))
        frames.shrink(2 * left * BLOCK)
        gone += before - set(there(tmp_path))
    assert "".join(gone) == "243105"
    assert list((tmp_path / "evidence").iterdir()) == []


def test_a_restart_goes_on_where_it_was(tmp_path):
    frames = KeptFrames(tmp_path)
    for number, kind in enumerate(KINDS):
        put(frames, number, kind, size=1)
    (tmp_path / "evidence/.part-dead").mkdir()
    (tmp_path / "evidence/notes").mkdir()
    again = KeptFrames(tmp_path)
    assert again.sizes == frames.sizes == dict.fromkeys(KINDS, 2 * BLOCK) | {"labeled": 0}
    assert not (tmp_path / "evidence/.part-dead").exists()
    again.shrink(2 * BLOCK)
    assert there(tmp_path) == ["3"]


def test_what_somebody_deleted_is_no_fault(tmp_path):
    frames = KeptFrames(tmp_path)
    place = tmp_path / put(frames, 1, "good")
    put(frames, 2, "good")
    (place / "frame.png").unlink()
    place.rmdir()
    frames.shrink(0)
    assert there(tmp_path) == []
    assert sum(frames.sizes.values()) == 0


@pytest.fixture
def label(tmp_path):
    """Return a function that labels the frame that `put` has written."""
    with PartLabels(tmp_path) as labels:

        def label(number, place):
            labels.set(inspection(number, decided=1000.0 + number, evidence=place), "defect")

        yield label


def test_a_labeled_frame_stays(tmp_path, label):
    frames = KeptFrames(tmp_path)
    label(0, put(frames, 0, "good"))
    for number in (1, 2, 3):
        put(frames, number, "anomalous")
    frames.shrink(4 * BLOCK)
    assert there(tmp_path) == ["0", "3"]
    again = KeptFrames(tmp_path)
    put(again, 4, "anomalous")
    again.shrink(4 * BLOCK)
    assert there(tmp_path) == ["0", "4"]


def test_labeled_frames_have_half_of_the_quota(tmp_path, label):
    frames = KeptFrames(tmp_path)
    for number in range(6):
        label(number, put(frames, number, "anomalous"))
    frames.shrink(4 * BLOCK)
    assert there(tmp_path) == ["4", "5"]
    assert frames.sizes["labeled"] == 2 * BLOCK
    put(frames, 6, "good")
    put(frames, 7, "good")
    frames.shrink(4 * BLOCK)
    assert there(tmp_path) == ["4", "5"]
