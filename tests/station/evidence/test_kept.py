"""A kept frame has the bits that the graph got and gave, in every pixel format."""

import json

import numpy as np
import pytest

from edgeseg.data.images import read_pixels
from edgeseg.errors import DataError
from edgeseg.frame.pixel_formats import PIXEL_FORMATS
from edgeseg.station.evidence.keeper import hash_of
from edgeseg.station.evidence.kept import RECORD, kept_folders, read_kept
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.evidence import done, judged, keep, make_judge, make_keeper, red
from tests.kit.stations import inspection

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_every_format_comes_back_bit_for_bit(tmp_path, kind):
    card = make_card(frame_format=kind)
    judge = make_judge(card)
    slot = judge.requests[0].slot
    record, _ = judged(judge, red(255))
    for array in (slot.frame, slot.anomaly_map.view(np.uint32)):
        array[...] = RNG.integers(0, np.iinfo(array.dtype).max, array.shape, endpoint=True)
    slot.mask[...] = 255 * RNG.integers(0, 2, slot.mask.shape)
    keeper = make_keeper(tmp_path, judge, good_share=1.0)
    place = keeper.keep(inspection(), record, slot, judge)
    assert done(keeper) | {"gb": 0} == {
        "kept": 1,
        "missed": 0,
        "failed": 0,
        "gb": 0,
        "trouble": "",
    }
    kept = read_kept(tmp_path / place)
    assert kept.frame.shape == card.frame_shape[1:]
    assert np.array_equal(kept.frame, slot.frame[0])
    assert np.array_equal(kept.mask, slot.mask[0])
    assert kept.anomaly_map.tobytes() == slot.anomaly_map[0].tobytes()  # NaN among them
    assert kept.image.shape == (48, 64, 3)


def test_the_record_has_the_inspection_and_the_hashes(tmp_path):
    judge = make_judge(make_card(weights_sha256="ab" * 32), image_threshold=0.4, rule="score")
    keeper = make_keeper(tmp_path, judge)
    found = keep(keeper, judge, red(128), 7, code=20, reason="line stopped: by PLC")
    done(keeper)
    record = read_kept(tmp_path / found.place).record
    assert record.inspection.evidence == found.place
    assert (record.inspection.code, record.inspection.reason) == (20, "line stopped: by PLC")
    assert (record.verdict, record.score) == ("anomalous", found.record.score)
    assert record.weights_sha256 == "ab" * 32
    assert record.card_sha256 == hash_of(judge.card)
    assert record.recipe == {"image_threshold": 0.4, "rule": "score"}
    assert hash_of(judge.card) != hash_of(make_card(weights_sha256="ab" * 32, threshold=0.6))


def test_a_frame_of_colors_is_a_picture_that_everybody_can_open(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    found = keep(keeper, judge, red(250))
    done(keeper)
    assert read_pixels(tmp_path / found.place / "frame.png")[0, 0].tolist() == [250, 0, 0]


def test_a_letterboxed_picture_is_cut_out(tmp_path):
    judge = make_judge(make_card(aspect="keep"))
    keeper = make_keeper(tmp_path, judge)
    found = keep(keeper, judge, red(255, (20, 64)))
    done(keeper)
    kept = read_kept(tmp_path / found.place)
    assert kept.record.picture == (20, 64)
    assert kept.image.shape[:2] == kept.image_mask.shape == (20, 64)
    assert kept.image_mask.all()
    assert kept.overlay().shape == (20, 64, 3)


@pytest.mark.parametrize("name", ["frame.png", "mask.png", "floats.png", RECORD])
@pytest.mark.parametrize("change", ["cut", "gone", "other"])
def test_what_is_damaged_is_refused(tmp_path, name, change):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    file = tmp_path / keep(keeper, judge, red(255)).place / name
    done(keeper)
    if change == "gone":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes(data[:-9] if change == "cut" else b"{}")
    with fails(DataError, "data/unreadable" if change == "gone" else "data/evidence"):
        read_kept(file.parent)


def test_a_record_leads_to_no_other_folder(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    folder = tmp_path / keep(keeper, judge, red(255)).place
    done(keeper)
    document = json.loads((folder / RECORD).read_text())
    document["files"]["../../secret"] = "0" * 64
    (folder / RECORD).write_text(json.dumps(document))
    with fails(DataError, "data/evidence"):
        read_kept(folder)


def test_what_is_being_written_is_no_kept_frame(tmp_path):
    judge = make_judge()
    keeper = make_keeper(tmp_path, judge)
    found = keep(keeper, judge, red(255))
    done(keeper)
    (tmp_path / "evidence/.part-1").mkdir()
    (tmp_path / "evidence/.part-1" / RECORD).write_text("{")
    assert kept_folders(tmp_path) == [tmp_path / found.place]
