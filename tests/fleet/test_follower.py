"""Following a tag: which model runs after whatever may happen on the way to it."""

import sys
from dataclasses import replace
from unittest.mock import Mock

import pytest

from edgeseg.errors import BuildError, DataError, RegistryError, WriteError
from edgeseg.fleet import attempt as attempt_module
from edgeseg.fleet import follower as follower_module
from edgeseg.fleet import pull as pull_module
from edgeseg.fleet.follower import Follower
from edgeseg.station.following.current import Followed as FollowedModel
from edgeseg.station.following.current import write_current
from tests.kit.evidence import label
from tests.kit.followed import Followed, Here, follow, keep_frames, release
from tests.kit.registry import DockerRegistry
from tests.kit.stations import inspection

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a station needs Linux")


@pytest.fixture
def followed(tmp_path, place):
    """A station whose own model has the limit 0.7, with kept frames."""
    file = follow(tmp_path / "station", place)
    keep_frames(file)
    return Followed(file)


def allow(file, share):
    """Let a new model change this share of the verdicts."""
    file.write_text(file.read_text().replace("[fleet]", f"[fleet]\nmax_changed = {share}"))


def test_a_new_model_is_judged_and_runs(tmp_path, place, followed, said):
    first = release(tmp_path / "new", place, limit=0.72)
    state = followed.look()
    assert (state.running, state.wanted, state.problem) == (first, first, "")
    assert followed.limit == 0.72
    second = release(tmp_path / "new", place, limit=0.71, number=2)
    assert followed.look().running == second
    assert (followed.current.before.digest, followed.limit) == (first, 0.71)
    third = release(tmp_path / "new", place, limit=0.73, number=3)
    assert followed.look().running == third
    assert followed.current.before.digest == second
    assert first[7:19] not in followed.names and second[7:19] in followed.names
    assert any("engine built" in line and "of 5 frames" in line for line in said)


def test_a_model_that_changes_verdicts_is_refused_once(tmp_path, place, followed, said):
    release(tmp_path / "new", place, limit=0.3)
    assert "2 of 5 verdicts would change (40 %, at most 10 %)" in followed.look().problem
    assert (followed.limit, followed.current.now) == (0.7, None)
    count = len(said)
    assert "would change" in followed.look().problem
    assert len(said) == count  # neither tried nor told again
    allow(followed.file, 0.5)
    again = Followed(followed.file)
    assert again.look().problem == "" and again.limit == 0.3


def test_a_labeled_defect_never_becomes_good(tmp_path, place, followed):
    label(followed.file.parent / "station", {inspection(4, boot="b1").key: "defect"})
    allow(followed.file, 1.0)
    release(tmp_path / "new", place, limit=0.9)
    followed = Followed(followed.file)
    assert "1 labeled defect would be good" in followed.look().problem
    assert followed.limit == 0.7


def test_without_kept_frames_no_model_is_used(tmp_path, place, said, monkeypatch):
    followed = Followed(follow(tmp_path / "station", place))
    digest = release(tmp_path / "new", place, limit=0.72)
    assert "0 kept frames (min_frames = 3)" in followed.look().problem
    count = sum("plates:" in line for line in said)
    keep_frames(followed.file, (0, 255))
    with monkeypatch.context() as patch:
        patch.setattr(pull_module, "SPARE", 1 << 60)  # no space, but all of it is here
        assert "2 kept frames (min_frames = 3)" in followed.look().problem
    assert sum("plates:" in line for line in said) == count == 2  # the tag, and the problem
    keep_frames(followed.file)
    assert followed.look().running == digest


def test_a_registry_that_is_down_changes_nothing(tmp_path, said):
    with DockerRegistry(tmp_path / "registry") as registry:
        place = f"{registry.host}/line/bottle:stable"
        followed = Followed(follow(tmp_path / "station", place))
        keep_frames(followed.file)
        assert "[registry/not-found]" in followed.look().problem
        first = release(tmp_path / "new", place, limit=0.72)
        answered = followed.look().answered
    state = followed.look()
    assert (state.running, state.answered, followed.limit) == (first, answered, 0.72)
    assert "[registry/unreachable]" in state.problem
    registry.start()
    assert followed.look().problem == ""
    registry.stop()
    assert any("can be followed again" in line for line in said)


def test_a_bit_that_the_disk_of_the_registry_lost_is_refused(tmp_path, registry, place, followed):
    release(tmp_path / "new", place, limit=0.72)
    blob = pull_module.read_artifact(_manifest(place), pull_module.MODEL).only(pull_module.GRAPH)
    registry.flip(blob.digest)
    assert "[registry/digest]" in followed.look().problem
    assert (followed.limit, followed.current.now) == (0.7, None)
    assert not list(followed.folder.rglob("*.onnx")) and not list(followed.folder.rglob(".part*"))
    registry.flip(blob.digest)
    assert followed.look().problem == ""
    assert followed.limit == 0.72


def test_a_full_disk_changes_nothing(tmp_path, place, followed, monkeypatch):
    digest = release(tmp_path / "new", place, limit=0.72)
    with monkeypatch.context() as patch:
        patch.setattr(pull_module, "SPARE", 1 << 60)
        assert "[write/full]" in followed.look().problem
    assert followed.limit == 0.7
    assert followed.look().running == digest


def test_what_is_not_the_fault_of_the_model_is_tried_again(tmp_path, place, followed, monkeypatch):
    digest = release(tmp_path / "new", place, limit=0.72)

    def fails_once(kind):
        def judge(*words):
            monkeypatch.undo()
            raise kind("found", remedy="type")

        return judge

    monkeypatch.setattr(attempt_module, "judge_model", fails_once(DataError))
    assert "not used yet: failed: found" in followed.look().problem
    assert (followed.look().running, followed.limit) == (digest, 0.72)
    second = release(tmp_path / "new", place, limit=0.71, number=2)
    monkeypatch.setattr(attempt_module, "judge_model", fails_once(BuildError))
    assert f"{second} is not used: found" in followed.look().problem
    assert (followed.look().running, followed.limit) == (digest, 0.72)


def test_a_model_that_cannot_be_opened_is_rolled_back(tmp_path, place, followed, monkeypatch):
    digest = release(tmp_path / "new", place, limit=0.72)

    def spoiled(file, recipe, digest):
        found = attempt_module.attempt(file, recipe, digest)
        (followed.folder / found.model).write_bytes(b"spoiled")
        return found

    monkeypatch.setattr("tests.kit.followed.attempt", spoiled)
    assert "could not open it" in followed.look().problem
    assert (followed.limit, followed.current.now, followed.current.trial) == (0.7, None, False)
    assert digest in followed.look().problem


def test_two_trials_that_end_the_inspector_are_enough(tmp_path, place, followed, monkeypatch):
    digest = release(tmp_path / "new", place, limit=0.72)
    inspector = followed.inspector
    monkeypatch.setattr(inspector, "send", lambda message: inspector.start())  # it was killed
    for count in (1, 2):
        assert "the inspector ended when it opened it" in followed.look().problem
        assert sum(followed.current.ended.values()) == count
        assert (followed.limit, followed.current.trial) == (0.7, False)
    assert "ended during two trials" in followed.look().problem
    assert followed.names == ["current.json", "following.json"]
    monkeypatch.undo()
    allow(followed.file, 0.2)  # another chance
    assert Followed(followed.file).look().running == digest


def test_a_trial_whose_follower_was_killed_is_begun_again(tmp_path, place, followed, monkeypatch):
    def killed(*words):
        raise KeyboardInterrupt

    digest = release(tmp_path / "new", place, limit=0.72)
    with monkeypatch.context() as patch:
        patch.setattr(Follower, "_tried", killed)
        patch.setattr(Follower, "_go_back", lambda *words: None)  # no time for that
        with pytest.raises(KeyboardInterrupt):
            followed.look()
    assert followed.current.trial
    state = followed.look()
    assert (state.running, state.problem, followed.limit) == (digest, "", 0.72)
    assert not followed.current.trial


def test_a_trial_that_was_begun_again_may_fail(tmp_path, place, followed):
    digest = release(tmp_path / "new", place, limit=0.72)
    name = f"{digest[7:19]}/plates.onnx"
    (followed.folder / name).mkdir(parents=True)
    broken = FollowedModel(digest=digest, model=name)
    write_current(followed.folder, replace(followed.current, now=broken, trial=True))
    assert "could not open it" in followed.look().problem
    assert (followed.limit, followed.current.now, followed.current.trial) == (0.7, None, False)
    assert followed.names == ["current.json", "following.json"]


def test_a_trial_is_begun_again_also_while_the_registry_is_down(
    tmp_path, place, followed, monkeypatch
):
    digest = release(tmp_path / "new", place, limit=0.72)
    followed.look()
    write_current(followed.folder, replace(followed.current, trial=True))
    down = RegistryError("down", remedy="wait", code="registry/unreachable")
    monkeypatch.setattr(follower_module, "wanted_digest", Mock(side_effect=down))
    state = followed.look()
    assert (state.running, followed.current.trial) == (digest, False)
    assert state.problem == "down [registry/unreachable]"


def test_that_a_trial_has_ended_is_noted_once_the_disk_has_space(
    tmp_path, place, followed, monkeypatch
):
    digest = release(tmp_path / "new", place, limit=0.72)
    write = follower_module.write_current

    def full(folder, current):
        if not current.trial:
            raise WriteError("cannot write: no space", remedy="df")
        write(folder, current)

    with monkeypatch.context() as patch:
        patch.setattr(follower_module, "write_current", full)
        assert "[write/failed]" in followed.look().problem
        assert followed.current.trial
    opened = []
    monkeypatch.setattr(followed.inspector, "send", opened.append)
    state = followed.look()
    assert (state.running, state.problem, followed.current.trial) == (digest, "", False)
    assert opened == []  # it runs; no part waits for it a second time


def test_a_state_that_cannot_be_written_is_known_all_the_same(
    tmp_path, place, followed, said, monkeypatch
):
    def full(*words):
        raise WriteError("no space", remedy="df")

    release(tmp_path / "new", place, limit=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(follower_module, "write_following", full)
        for _ in range(3):
            followed.look()
    lines = [line for line in said if "recipe plates:" in line]
    assert [line.count("is now") for line in lines] == [1, 0, 0]
    assert "would change" in lines[1] and "no space" in lines[2]
    assert "would change" in followed.look().problem


def test_models_that_are_not_used_do_not_fill_the_disk(tmp_path, place, followed):
    for number in range(3):
        release(tmp_path / "new", place, limit=0.3, number=number)
        assert "would change" in followed.look().problem
    assert followed.names == ["following.json"]
    allow(followed.file, 1.0)
    assert Followed(followed.file).look().problem == ""


def test_an_engine_that_is_damaged_later_gives_way_to_the_model_of_before(
    tmp_path, place, followed, said
):
    release(tmp_path / "new", place, limit=0.72)
    followed.look()
    second = release(tmp_path / "new", place, limit=0.71, number=2)
    followed.look()
    (followed.folder / followed.current.now.model).write_bytes(b"")
    followed.inspector.start()
    assert followed.limit == 0.72
    (followed.folder / followed.current.before.model).unlink()
    followed.inspector.start()
    assert followed.limit == 0.7
    (followed.folder / "current.json").write_text("{")
    followed.inspector.start()
    assert followed.limit == 0.7
    assert sum("the model of before runs" in line for line in said) == 3
    assert (followed.look().running, followed.limit) == (second, 0.71)


def test_a_long_attempt_that_fails_is_repeated_after_a_pause(
    tmp_path, place, followed, monkeypatch
):
    digest = release(tmp_path / "new", place, limit=0.72)
    tried = []

    def fail(*words):
        tried.append(words)
        raise DataError("found", remedy="type")

    with monkeypatch.context() as patch:
        patch.setattr(attempt_module, "judge_model", fail)
        patch.setattr(follower_module, "SHORT", 0.0)
        patch.setattr(follower_module, "SHARE", 1e-6)
        problems = [followed.look().problem for _ in range(3)]
    assert len(tried) == 1 and len(set(problems)) == 1 and "found" in problems[0]
    other = release(tmp_path / "new", place, limit=0.71, number=2)
    assert digest != other == followed.look().running


def test_attempts_that_end_without_a_word_are_counted(tmp_path, place, followed):
    class Killed(Here):
        def _attempt(self, recipe, digest):
            return None

    release(tmp_path / "new", place)
    killed = Followed(followed.file, Killed)
    problems = [killed.look().problem for _ in range(4)]
    assert [problem.count("not used yet") for problem in problems] == [1, 1, 0, 0]


def test_a_file_that_was_changed_meanwhile_is_a_failed_attempt(tmp_path, place):
    file = follow(tmp_path / "station", place)
    assert attempt_module.attempt(file, "other", "sha256:0").reason == "recipe other is gone"
    file.write_text("nonsense")
    assert attempt_module.attempt(file, "plates", "sha256:0").outcome == "failed"


def _manifest(place):
    from tests.kit.registry import client

    host, _, name = place.partition("/")
    return client(host, name).manifest("stable")[0]
