"""A trial is a job for any executor: it can be sent, and names all that it reads."""

import pickle
from dataclasses import replace
from pathlib import Path

from edgeseg.cluster.paths import inputs_of, job_key, moved
from edgeseg.tuning.trial import run_trial
from tests.tuning.fakes import job_of


def test_a_trial_travels_with_the_data_the_judge_and_its_settings(tmp_path):
    for name in ("parts", "judge", "textures", "elsewhere"):
        (tmp_path / name).mkdir()
    job = job_of({"profile": "line"}, tmp_path / "trials" / "000-0", known={64: {"student": 0.1}})
    job = replace(
        job,
        data=tmp_path / "parts",
        judge=tmp_path / "judge",
        config=replace(job.config, textures=tmp_path / "textures"),
    )
    names = ("judge", "parts", "textures")
    assert inputs_of(job) == tuple(tmp_path / name for name in names)
    there = moved(job, {tmp_path: Path("/there")})
    assert there.config == replace(job.config, textures=Path("/there/textures"))
    assert (there.data, there.result) == (
        Path("/there/parts"),
        Path("/there/trials/000-0/result.json"),
    )
    assert pickle.loads(pickle.dumps((there, run_trial)))[0] == there
    digests = {path: path.name for path in inputs_of(job)}
    longer = replace(job, seconds=job.seconds + 1)
    assert job_key(job, run_trial, digests) != job_key(longer, run_trial, digests)
