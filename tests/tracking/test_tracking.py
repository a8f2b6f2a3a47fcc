"""The words of `--track`."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.tracking.tracking import Tracking
from tests.kit.errors import fails

pytest.importorskip("tensorboardX")


@pytest.mark.parametrize(
    "word", ["tensorbord", "mlflow", "mlflow:host:5000", "mlflow:http://", "mlflow:http://h:x", ""]
)
def test_a_word_that_names_no_tracker_is_refused(word):
    with fails(ConfigError, "track/unknown"):
        Tracking([word])


def test_a_password_is_not_in_the_error():
    with pytest.raises(ConfigError) as raised:
        Tracking(["mlflow:ftp://user:secret@host"])
    assert "secret" not in str(raised.value)


def test_without_words_nothing_is_done(tmp_path):
    with Tracking() as tracking:
        tracking.begin(tmp_path, "plates", {}, 0)
        tracking.put(1, {"loss": 1.0})
    assert not tracking and not list(tmp_path.iterdir())
