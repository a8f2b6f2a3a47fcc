import pytest

from edgeseg.station.inspection import Code, Inspection, code_of
from tests.kit.stations import inspection


def test_it_survives_the_journal():
    region = {"box": [1, 2, 3, 4], "area": 9}
    found = inspection(7, code=Code.ANOMALOUS, score=0.75, regions=(region,), part="A-17")
    assert Inspection.from_json(found.to_json()) == found
    assert '"key":"bench/b1/7"' in found.to_json()
    assert '"ok":false' in found.to_json()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"v":1}', inspection().to_json()[:-5]])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError):
        Inspection.from_json(text)


@pytest.mark.parametrize(
    ("verdict", "reason", "code"),
    [
        ("good", "", 0),
        ("anomalous", "", 1),
        ("unknown", "not like the trained part", 10),
        ("unknown", "dropped", 11),
        ("unknown", "late", 12),
        ("unknown", "camera lost", 13),
        ("unknown", "line stopped: output mqtt", 20),
    ],
)
def test_the_codes_of_a_plc_never_change(verdict, reason, code):
    assert code_of(verdict, reason) == code


def test_only_a_good_part_is_ok():
    assert [code for code in Code if inspection(code=code).ok] == [Code.OK]
