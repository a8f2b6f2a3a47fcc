"""The paths of a job: which are read, where they are on another machine, and the job's key."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgeseg.cluster.paths import inputs_of, job_key, moved


@dataclass(frozen=True)
class Settings:
    textures: Path | None = None
    steps: int = 3


@dataclass(frozen=True)
class Job:
    data: Path
    folder: Path
    settings: tuple[Settings, ...] = ()


def work(job):
    """What the job does; only its name counts."""


@pytest.fixture
def job(tmp_path):
    for name in ("data/good", "textures", "runs/a"):
        (tmp_path / name).mkdir(parents=True)
    settings = (Settings(textures=tmp_path / "textures"), Settings(textures=tmp_path / "missing"))
    return Job(tmp_path / "data", tmp_path / "runs" / "a", settings)


def test_inputs_are_what_exists_outside_the_job_s_folders(job, tmp_path):
    assert inputs_of(job) == (tmp_path / "data", tmp_path / "textures")
    inside = dataclasses.replace(job, settings=(Settings(textures=job.data / "good"),))
    assert inputs_of(inside) == (tmp_path / "data",)
    own = dataclasses.replace(job, settings=(Settings(textures=job.folder / "x"),))
    assert inputs_of(own) == (tmp_path / "data",)


def test_moved_replaces_paths_at_any_depth_and_below_the_old_ones(job, tmp_path):
    deeper = dataclasses.replace(
        job, settings=[Settings(textures=job.data / "good"), *job.settings]
    )
    there = moved(deeper, {job.data: Path("/cache/d"), job.folder: Path("/job/0/a")})
    assert (there.data, there.folder) == (Path("/cache/d"), Path("/job/0/a"))
    assert [s.textures for s in there.settings] == [
        Path("/cache/d/good"),
        tmp_path / "textures",
        tmp_path / "missing",
    ]


def test_the_key_follows_settings_and_data_and_not_the_place(job, tmp_path):
    digests = {job.data: "d1", tmp_path / "textures": "t1"}
    key = job_key(job, work, digests)
    elsewhere = moved(job, {tmp_path: Path("/elsewhere")})
    other_digests = {Path("/elsewhere/data"): "d1", Path("/elsewhere/textures"): "t1"}
    missing = {tmp_path / "missing": Path("/elsewhere/missing")}
    assert job_key(moved(job, missing), work, digests) == job_key(elsewhere, work, other_digests)
    assert key == job_key(job, work, dict(digests))
    more = dataclasses.replace(job, settings=(dataclasses.replace(job.settings[0], steps=4),))
    assert (
        len({key, job_key(job, work, digests | {job.data: "d2"}), job_key(more, work, digests)})
        == 3
    )


def test_a_field_without_a_stable_key_is_refused(job):
    with pytest.raises(TypeError, match="no stable key"):
        job_key(dataclasses.replace(job, settings={1, 2}), work, {})
