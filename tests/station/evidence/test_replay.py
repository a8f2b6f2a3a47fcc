"""`edgeseg replay`: the frames of a real station through ONNX Runtime, and through other models."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgeseg.config import ReplayConfig
from edgeseg.errors import ConfigError, DataError
from edgeseg.runtime.fake import FakeBackend
from edgeseg.station.config import read_station
from edgeseg.station.evidence import replay as module
from edgeseg.station.evidence.kept import kept_folders
from edgeseg.station.inspector import Inspector
from edgeseg.station.journal import FILE, JournalReader
from edgeseg.station.link import Link, pair
from tests.cli.conftest import run  # noqa: F401
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.evidence import done, keep, label, make_judge, make_keeper, red
from tests.kit.red_graph import CARD, red_graph
from tests.kit.stations import until, write_photos, write_station

REDS = (0, 100, 170, 190, 255)
EVIDENCE = "[evidence]\ngood_share = 1.0\n"


def inspected(folder, *, recipe="", reds=REDS):
    """Let a station judge photos and keep all; its file and its records."""
    write_photos(folder / "photos", reds)
    cameras = {"top": {"source": str(folder / "photos"), "mode": "file"}}
    file = write_station(folder, cameras=cameras, rest=EVIDENCE)
    file.write_text(file.read_text().replace("threads = 1\n", f"threads = 1\n{recipe}\n"))
    ours, theirs = pair()
    config = read_station(file)
    with theirs, Link(ours) as link, Inspector(config, link) as inspector:
        assert until(lambda: inspector.journal.count == len(reds))
        assert until(lambda: inspector.status()["evidence"]["kept"] == len(reds))
    with JournalReader(config.folder / FILE) as reader:
        return file, reader.after(0, 100)


def last(out):
    return json.loads(out.splitlines()[-1])


def test_the_same_model_changes_no_bit(run, tmp_path):  # noqa: F811
    file, records = inspected(tmp_path, recipe="image_threshold = 0.5\nrule = 'score'")
    assert [each.verdict for each in records] == ["good", "good", *["anomalous"] * 3]
    assert all((file.parent / "station" / each.evidence).is_dir() for each in records)
    for words in ((file,), (tmp_path / "station", "plates.onnx"), (file, "plates.onnx")):
        code, out, _ = run("replay", *words, "--max-flip-rate", 0, "--json")
        found = last(out)
        assert (code, found["frames"], found["same_bits"], found["changed"]) == (0, 5, 5, [])
    assert "verdicts that change: 0 of 5 (0 %)" in out


def test_what_another_threshold_changes_is_listed(run, tmp_path):  # noqa: F811
    file, records = inspected(tmp_path)
    assert [each.verdict for each in records] == ["good"] * 3 + ["anomalous"] * 2
    label(tmp_path / "station", {records[2].key: "defect", records[0].key: "good"})
    file.write_text(file.read_text().replace("threads", "image_threshold = 0.6\nthreads"))
    code, out, _ = run("replay", file, "--json")
    assert code == 0
    (changed,) = last(out)["changed"]
    assert (changed["key"], changed["was"], changed["verdict"]) == (
        records[2].key,
        "good",
        "anomalous",
    )
    assert (changed["label"], changed["equal"]) == ("defect", True)
    assert last(out)["labeled"] == {
        "good": {"frames": 1, "were_wrong": 0, "wrong": 0},
        "defect": {"frames": 1, "were_wrong": 1, "wrong": 0},
    }
    assert "verdicts that change: 1 of 5 (20 %): 1 good -> anomalous" in out
    assert run("replay", file, "--max-flip-rate", 0.2)[0] == 0
    code, out, err = run("replay", file, "--max-flip-rate", 0.1, "--json")
    assert (code, last(out)["error"]["code"], "gate/replay" in err) == (3, "gate/replay", True)


def test_another_model_has_its_own_thresholds(run, tmp_path):  # noqa: F811
    file, _ = inspected(tmp_path, recipe="image_threshold = 0.1")
    card = replace(CARD, name="newer", weights_sha256="11ff", image_threshold=0.7)
    onnx.save(red_graph(card=card), tmp_path / "newer.onnx")
    code, out, err = run("replay", file, "newer.onnx", "--json")
    assert code == 0
    assert [each["was"] for each in last(out)["changed"]] == ["anomalous"] * 2  # 100 and 170
    assert "newer has its own" in err


def test_a_damaged_frame_is_listed_and_the_others_are_judged(run, tmp_path):  # noqa: F811
    file, _ = inspected(tmp_path, reds=(0, 255))
    first, second = kept_folders(tmp_path)
    (first / "frame.png").write_bytes(b"")
    code, out, err = run("replay", file, "--json")
    assert (code, last(out)["frames"], last(out)["warnings"]) == (0, 1, 1)
    assert "not judged" in err
    assert run("replay", file, "--strict")[0] == 2
    (second / "record.json").write_text("{}")
    code, out, err = run("replay", file, "--json")
    assert (code, last(out)["error"]["code"]) == (2, "data/evidence")


@pytest.fixture
def fakes(monkeypatch):
    """Models by name, each a backend that reports red."""
    cards = {}
    monkeypatch.setattr(module, "find_engine", lambda name, **rest: name)
    monkeypatch.setattr(module, "open_model", lambda name, **rest: FakeBackend(cards[name]))
    return cards


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_format": "nv12"},
        {"frame_format": "yuyv", "rule": "area:50"},
        {"aspect": "keep", "rule": "area:2500"},  # of 48 x 64 pixels only 30 x 40 are shown
        {"frame_format": "gray", "aspect": "keep", "rule": "region"},
    ],
)
def test_other_formats_and_letterboxes_change_no_bit(tmp_path, fakes, changes):
    rule = changes.pop("rule", "score")
    fakes["same"] = card = make_card(side=(48, 64), **changes)
    judge = make_judge(card, rule=rule, threshold=0.3)
    keeper = make_keeper(tmp_path, judge, good_share=1.0)
    for number, value in enumerate((0, 90, 200)):
        image = red(value, (60, 40))
        image[10:30, 10:20] = 255
        keep(keeper, judge, image, number)
    done(keeper)
    report = module.replay(tmp_path, "same")
    assert [each.equal for each in report.frames] == [True] * 3
    assert report.changed == ()


def test_a_model_with_other_frames_gets_the_picture(tmp_path, fakes):
    judge = make_judge(make_card(aspect="keep"))
    keeper = make_keeper(tmp_path, judge)
    keep(keeper, judge, red(255, (24, 64)))
    done(keeper)
    fakes["large"] = make_card(96, 128, frame_format="nv12", aspect="keep", weights_sha256="2")
    (found,) = module.replay(tmp_path, "large").frames
    assert (found.was, found.verdict, found.equal) == ("anomalous", "good", False)
    assert 0.3 < found.score < 0.35  # the brightness of red


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_camera_stays_unknown(tmp_path, fakes, frozen):
    fakes["same"] = make_card()
    judge = make_judge(fakes["same"])
    keeper = make_keeper(tmp_path, judge, good_share=1.0)
    keep(keeper, judge, red(0), frozen=frozen)
    done(keeper)
    (found,) = module.replay(tmp_path, "same").frames
    assert found.verdict == ("unknown" if frozen else "good")
    assert not found.changed


def test_a_score_that_is_no_number_stays_unknown(tmp_path, fakes, monkeypatch):
    fakes["same"] = make_card()
    run_it = FakeBackend.run
    monkeypatch.setattr(
        FakeBackend, "run", lambda self: run_it(self) or self._slot.score.fill(np.nan)
    )
    judge = make_judge(fakes["same"])
    keeper = make_keeper(tmp_path, judge)
    keep(keeper, judge, red(0))
    done(keeper)
    report = module.replay(tmp_path, "same")
    assert [(each.was, each.verdict, each.equal) for each in report.frames] == [
        ("unknown", "unknown", True)
    ]
    assert "of 1" in report.summary()


def test_one_model_judges_one_recipe(tmp_path, fakes):
    fakes["same"] = make_card()
    judge = make_judge(fakes["same"])
    keeper = make_keeper(tmp_path, judge)
    for number, recipe in enumerate(("cap", "bottle", "cap")):
        keep(keeper, judge, red(255), number, recipe=recipe)
    done(keeper)
    with fails(ConfigError, "config/recipes"):
        module.replay(tmp_path, "same")
    assert len(module.replay(tmp_path, "same", ReplayConfig(recipe="cap")).frames) == 2
    with fails(DataError, "data/no-evidence"):
        module.replay(tmp_path, "same", ReplayConfig(recipe="other"))


def test_what_is_missing_is_named(tmp_path):
    with fails(DataError, "data/not-found"):
        module.replay(tmp_path / "nowhere")
    with fails(DataError, "data/no-evidence"):
        module.replay(tmp_path)
    file = write_station(tmp_path, cameras={"top": {"source": "0"}})
    with fails(DataError, "data/not-found"):
        module.replay(file)


def test_a_recipe_that_the_file_lacks_is_named(tmp_path, fakes):
    file = write_station(tmp_path, cameras={"top": {"source": "0"}})
    judge = make_judge(make_card())
    keeper = make_keeper(tmp_path / "station", judge)
    keep(keeper, judge, red(255), recipe="gone")
    done(keeper)
    with fails(ConfigError, "station/no-recipe"):
        module.replay(file)
