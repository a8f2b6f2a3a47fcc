"""`bench_defects.py`: the same images judge every head, and none was trained on them."""

import importlib
import json
import sys

import edgeseg
from edgeseg.data.parts import write_parts


def test_every_training_is_judged_by_the_images_of_none(tmp_path, monkeypatch, capsys):
    data = write_parts(tmp_path / "plates", train=8, good=2, bad=2)
    run = edgeseg.train(
        data,
        runs_dir=tmp_path / "runs",
        preview=False,
        profile="paper",
        model="dskd",
        head=True,
        teacher="efficientnet_lite0",
        student_width=8,
        head_width=8,
        image_size=64,
        batch=2,
        student_steps=2,
        head_steps=2,
        student_rate=1e-4,
        holdout=0.25,
    )
    arguments = f"bench_defects.py {run} {data} --per-type 1 --steps 2 --types chip"
    monkeypatch.setattr(sys, "argv", arguments.split())
    importlib.import_module("bench_defects").main()
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["trained"] == 4
    assert document["judging"] == {"chip": 1, "plugged": 1, "scratch": 1, "stain": 1}
    found = {each["name"]: each["n"] for each in document["figures"]}
    for training in ("none", "all", "without chip"):
        assert found[f"{training}: all, miss rate"] == 4
        assert found[f"{training}: chip, miss rate"] == 1
