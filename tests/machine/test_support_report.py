"""The tables of `edgeseg doctor --matrix`."""

import json

from edgeseg.machine.support import GPUS, JETPACKS, listed
from edgeseg.machine.support_report import MatrixReport


def test_every_row_of_the_matrix_is_printed():
    lines = MatrixReport().summary().splitlines()
    starts = [str(release) for release in listed()]
    starts += [f"{gpu.capability:<5} {gpu.name}" for gpu in GPUS]
    starts += [f"{pack.name:<11}  {pack.l4t[0]}" for pack in JETPACKS]
    for start in starts:
        assert sum(line.startswith(start) for line in lines) == 1, start


def test_a_row_says_what_the_matrix_says():
    lines = MatrixReport().summary().splitlines()
    (v100,) = [line.split("  ") for line in lines if line.startswith("7.0   V100")]
    words = [word.strip() for word in v100 if word.strip()]
    assert words[1:4] == ["V100", "8.6 to 10.4", "no"]
    assert words[4:] == ["no", "no INT8 tensor cores; CUDA 12.9 or older"]
    (old,) = [line for line in lines if line.startswith("tensorrt 8.6")]
    assert "flags" in old and "7 to 17" in old


def test_the_same_as_json():
    document = json.loads(json.dumps(MatrixReport().to_json()))
    assert [row["release"] for row in document["releases"]] == [str(r) for r in listed()]
    assert document["gpus"][0]["spans"] == ["8.6 to 10.4"]
    assert len(document["jetpacks"]) == len(JETPACKS)
