"""What people say of parts, in the file of the cursors."""

from edgeseg.errors import WriteError
from edgeseg.station.cursors import FILE, Cursors
from edgeseg.station.evidence.labels import read_labels
from tests.kit.errors import fails
from tests.kit.evidence import label


def test_labels_are_read_beside_the_cursors(tmp_path):
    assert read_labels(tmp_path) == {}
    with Cursors(tmp_path / FILE, last=0) as cursors:
        assert cursors.of("mqtt") == 0
        assert read_labels(tmp_path) == {}
        label(tmp_path, {"d/b/1": "good", "d/b/2": "defect"})
        assert read_labels(tmp_path) == {"d/b/1": "good", "d/b/2": "defect"}


def test_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 500)
    with fails(WriteError, "station/journal"):
        read_labels(tmp_path)
