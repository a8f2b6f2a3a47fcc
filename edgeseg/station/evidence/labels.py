"""What people have said of inspected parts on the page: good, defect or unclear.

The page writes the table `label` of the gateway's file; this only reads it.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from edgeseg.station.cursors import FILE
from edgeseg.station.journal import unreadable


def read_labels(station: Path) -> Mapping[str, str]:
    """Return the labels by `Inspection.key`; empty if nobody has labeled anything.

    station: the folder of its state. WriteError: the file is damaged.
    """
    path = station / FILE
    if not path.is_file():
        return {}
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=5)) as file:
            known = file.execute("select 1 from sqlite_master where name = 'label'").fetchone()
            return dict(file.execute("select key, label from label")) if known else {}
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def is_labeled(station: Path, place: str) -> bool:
    """Whether somebody has labeled the frame that is kept there; False if it cannot be told."""
    path = station / FILE
    if not path.is_file():
        return False
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as file:
            asked = "select 1 from label where evidence = ? limit 1"
            return file.execute(asked, (place,)).fetchone() is not None
    except sqlite3.Error:  # there is no table before the first label
        return False
