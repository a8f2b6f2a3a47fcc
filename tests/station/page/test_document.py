"""What the page is told of the station's state."""

import pytest

from edgeseg.station.outputs.base import StationState
from edgeseg.station.page.document import OUTPUT_BAD, alarms


@pytest.mark.parametrize("seconds", [OUTPUT_BAD + 1, 100.0, 86_400.0])
def test_an_alarm_keeps_its_words_while_it_lasts(seconds):
    outputs = {"mqtt": {"problem": "", "bad_for": seconds}, "csv": {"bad_for": OUTPUT_BAD}}
    state = StationState(alive=True, outputs=outputs)
    problem = "It has not answered for more than 3 s."
    assert alarms(state) == [{"what": "output mqtt", "problem": problem}]
