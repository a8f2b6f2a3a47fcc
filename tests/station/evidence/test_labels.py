"""What people say of parts, in the file of the cursors."""

from edgeseg.errors import WriteError
from edgeseg.station.cursors import FILE, Cursors
from edgeseg.station.evidence.labels import read_labels
from edgeseg.station.page.labels import PartLabels
from tests.kit.errors import fails
from tests.kit.evidence import label
from tests.kit.stations import inspection


def test_labels_are_read_beside_the_cursors(tmp_path):
    assert read_labels(tmp_path) == {}
    with Cursors(tmp_path / FILE, last=0) as cursors:
        assert cursors.of("mqtt") == 0
        assert read_labels(tmp_path) == {}
        label(tmp_path, {"d/b/1": "good", "d/b/2": "defect"})
        assert read_labels(tmp_path) == {"d/b/1": "good", "d/b/2": "defect"}


def test_what_the_page_writes_is_read(tmp_path):
    with PartLabels(tmp_path) as labels:
        labels.set(inspection(1), "defect")
        labels.set(inspection(2), "unclear")
        labels.set(inspection(2), None)
        assert read_labels(tmp_path) == {inspection(1).key: "defect"}


def test_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 500)
    with fails(WriteError, "station/journal"):
        read_labels(tmp_path)
