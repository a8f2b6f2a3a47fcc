"""The gate: which changes of verdicts let a new model in."""

import pytest

from edgeseg.fleet.gate import verdict_on
from edgeseg.station.evidence.replay_report import Replayed


def frames(*changes):
    """Frames of `was now label`."""
    made = []
    for place, each in enumerate(changes):
        was, verdict, label = [*each.split(), ""][:3]
        about = {"path": "", "recipe": "r", "model": "m", "reason": "", "equal": False}
        scores = {"was_score": 0.0, "score": 0.0}
        about |= {"key": f"k{place}", "was": was, "verdict": verdict, "label": label}
        made.append(Replayed(**about, **scores))
    return tuple(made)


SAME = ["good good", "anomalous anomalous"]


@pytest.mark.parametrize(
    ("changes", "share", "words"),
    [
        ([], 0.0, ""),
        (SAME, 0.0, ""),
        (["anomalous good defect"], 1.0, "1 labeled defect would be good, such as k0"),
        (["unknown good defect", *SAME], 1.0, "1 labeled defect"),
        (["good good defect"], 0.0, ""),  # missed before, too
        (["good anomalous defect"], 0.0, ""),
        (["anomalous good good"], 0.0, ""),
        (["good anomalous good", "good good good"], 0.4, "1 of 2 labeled good parts"),
        (["good unknown good", "good good good"], 0.5, ""),
        (["good anomalous", *SAME], 0.3, "1 of 3 verdicts would change (33.3 %, at most 30 %)"),
        (["good anomalous unclear", *SAME], 0.34, ""),
    ],
)
def test_the_criterion(changes, share, words):
    found = verdict_on(frames(*changes), share)
    assert words in found and bool(words) == bool(found)
