from edgeseg.errors import WriteError
from edgeseg.station.cursors import FILE, Cursors
from edgeseg.station.evidence.labels import read_labels
from edgeseg.station.page.labels import PartLabels
from tests.kit.errors import fails
from tests.kit.stations import inspection


def test_labels_are_kept_beside_the_cursors(tmp_path):
    with Cursors(tmp_path / FILE, last=0) as cursors:
        assert cursors.of("mqtt") == 0
        with PartLabels(tmp_path) as written:
            one, other = inspection(1, id=11, evidence="evidence/1"), inspection(2, id=12)
            written.set(one, "good")
            written.set(other, "unclear")
            written.set(one, "defect")
            assert written.of(["bench/b1/1", "bench/b1/2", "bench/b1/3"]) == {
                "bench/b1/1": "defect",
                "bench/b1/2": "unclear",
            }
            written.set(other, None)
            assert written.counts() == {"defect": 1}
            cursors.move("mqtt", 5)
    assert read_labels(tmp_path) == {"bench/b1/1": "defect"}


def test_many_keys_are_asked_for_at_once(tmp_path):
    with PartLabels(tmp_path) as written:
        written.set(inspection(1999), "good")
        assert written.of([f"bench/b1/{n}" for n in range(2000)]) == {"bench/b1/1999": "good"}


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with fails(WriteError, "station/journal"):
        PartLabels(tmp_path)
