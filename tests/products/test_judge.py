"""The bound below which a model is not shipped."""

import math

import pytest

from edgeseg.products.judge import ranking, useless
from edgeseg.report.decision import Decision

STOP = Decision(tone="stop", title="Do not use this model: it does not tell", words=())
TRIAL = Decision(tone="trial", title="Ready for a trial", words=())
NOT_MEASURED = Decision(tone="unmeasured", title="Not measured", words=())


@pytest.mark.parametrize(
    ("decision", "drawn", "shipped"),
    [
        (TRIAL, 0.99, True),
        (TRIAL, 0.5, True),  # real photos decide
        (STOP, 0.99, False),
        (NOT_MEASURED, 0.8, True),
        (NOT_MEASURED, 0.79, False),
        (NOT_MEASURED, math.nan, False),  # --holdout 0: nothing to judge by
    ],
)
def test_what_is_shipped(decision, drawn, shipped):
    assert (useless(decision, drawn) is None) == shipped


def test_what_is_not_shipped_is_told_what_to_do_about_it():
    assert useless(STOP, 0.99)[0] == STOP.title
    reason, remedy = useless(NOT_MEASURED, 0.62)
    assert "62 % of the pairs" in reason and "80 %" in reason and "all good photos" in remedy
    reason, remedy = useless(NOT_MEASURED, math.nan)
    assert "Nothing is known" in reason and remedy.startswith("photos of defects")


def test_a_defect_is_not_compared_with_its_own_photo():
    photos = [1.0, 2.0, 3.0, 4.0]
    a_little_more = [[score + 0.1] * 6 for score in photos]
    assert ranking(photos, a_little_more) == 0.5, "what every change does is no finding"
    assert ranking(photos, [[9.0] * 6] * 4) == 1.0
    assert math.isnan(ranking(photos[:1], [[9.0] * 6])) and math.isnan(ranking([], []))


def test_families_that_are_invisible_on_a_part_do_not_decide():
    photos, seen, unseen = [1.0, 2.0, 3.0, 4.0], 9.0, 2.5
    assert ranking(photos, [[seen, seen, seen, seen, unseen, unseen]] * 4) == 1.0
    assert ranking(photos, [[seen, unseen, unseen, unseen, unseen, unseen]] * 4) == 0.5
