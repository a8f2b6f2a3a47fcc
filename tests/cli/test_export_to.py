"""`edgeseg export --to triton DIR` on the command line."""

import json

import pytest

from tests.kit.served import save_plates


def test_a_graph_becomes_a_version_of_a_model(run, tmp_path):
    save_plates(tmp_path / "plates.onnx")
    code, out, _ = run(
        *("export", "plates.onnx", "--to", "triton", "models", "--backend", "python", "--json")
    )
    document = json.loads(out.splitlines()[-1])
    assert (code, document["version"], document["backend"]) == (0, 1, "python")
    assert (tmp_path / "models" / "plates" / "1" / "model.py").is_file()
    assert "v2/repository/models/plates/load" in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("plates.onnx", "--backend", "python"), "config/no-server"),
        (("plates.onnx", "--to", "triton", "models", "--batch", "2"), "config/exported"),
        (("plates.onnx", "--to", "kserve", "models"), "config/not-a-choice"),
        (("plates.onnx",), "model/not-a-run"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(run, tmp_path, words, code):
    save_plates(tmp_path / "plates.onnx")
    exit_code, _, err = run("export", *words)
    assert exit_code == 2 and f"[{code}]" in err and "fix: " in err
    assert not (tmp_path / "models").exists()
