"""train.csv of a training that is resumed."""

import csv

import pytest

from edgeseg.training.history import COLUMNS, History


@pytest.fixture
def saved(tmp_path):
    history = History(tmp_path / "train.csv", (0, 0))
    for step in range(3):
        history.add("student", step, 1 / (1 + step), 0.25, 0.25)
    history.save()
    return history.path


def test_a_resumed_training_keeps_the_rows_before_its_step(saved):
    found = History(saved, (0, 2))
    assert [row[1] for row in found.rows] == [0, 1]
    assert found.seconds() == {"student": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        ";".join(COLUMNS) + "\nstudent;0;1;0,25;0,25\n",  # saved by a spreadsheet
        ",".join(COLUMNS) + '\nstudent,0,"0,5",0.25,0.25\n',
        ",".join(COLUMNS) + "\nwarm-up,0,0.5,0.25,0.25\n",
        ",".join(COLUMNS) + "\nstudent,0\n",
        "\xff\xfe",
    ],
)
def test_a_file_that_was_changed_does_not_stop_a_resumed_training(saved, said, text):
    saved.write_bytes(text.encode("latin-1"))
    history = History(saved, (0, 2))
    assert history.rows == [] and len(said) == 1 and "train.csv" in said[0]
    history.add("student", 2, 0.5, 0.25, 0.25)
    history.save()
    with saved.open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2"]
