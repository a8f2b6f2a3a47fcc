"""`edgeseg train` refuses flags that would be ignored: those of one training and those of many."""

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ("photos", "--processes", "2"),
        ("photos", "--on", "ray"),
        ("--all", "products", "--name", "cap"),
        ("photos", "--all", "products"),
        ("--all", "products", "--track", "tensorboard"),
        ("--all", "products", "--no-preview"),
    ],
)
def test_flags_that_would_be_ignored_are_refused(run, tmp_path, words):
    exit_code, _, err = run("train", *words)
    assert exit_code == 2 and "[config/conflict]" in err and "fix: " in err
    assert not (tmp_path / "runs").exists()
