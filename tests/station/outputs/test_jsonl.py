import json

import pytest

from tests.kit.outputs import make_context, opened
from tests.kit.stations import inspection

RECORDS = [inspection(n, id=n) for n in (1, 2, 3)]


def append(tmp_path, *records):
    with opened(make_context(tmp_path), "jsonl", path="out/lines.jsonl") as output:
        output.open()
        assert output.send(records) == records[-1].id
    return tmp_path / "out/lines.jsonl"


def ids(path):
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("cut", [2, 3, 50])
def test_a_line_that_was_cut_off_is_written_again(tmp_path, cut):
    path = append(tmp_path, *RECORDS[:2])
    path.write_bytes(path.read_bytes()[:-cut])
    append(tmp_path, *RECORDS[1:])
    assert ids(path) == [1, 2, 3]


def test_a_whole_line_without_its_end_is_kept(tmp_path):
    path = append(tmp_path, *RECORDS[:2])
    path.write_bytes(path.read_bytes()[:-1])
    append(tmp_path, RECORDS[2])
    assert ids(path) == [1, 2, 3]
