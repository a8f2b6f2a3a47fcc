"""The tables of docs/station.md and docs/fleet.md are those that a station reads."""

import sys

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.schema import build
from edgeseg.station.config import (
    CameraConfig,
    EvidenceConfig,
    GpioConfig,
    OutputConfig,
    PageConfig,
    RecipeConfig,
)
from edgeseg.station.following.config import FleetConfig
from edgeseg.station.outputs.kinds import output_kind
from tests.docs.blocks import BLOCKS
from tests.docs.test_commands import STATION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLES = [
    tomllib.loads(block.text)
    for block in BLOCKS
    if block.language == "toml" and block.page in STATION
]
SCHEMAS = {"recipe": RecipeConfig, "camera": CameraConfig, "gpio": GpioConfig}
GENERAL = set(OutputConfig.__dataclass_fields__)


@pytest.mark.parametrize("document", TABLES, ids=str)
def test_a_table_is_read(document):
    assert set(document) <= {*SCHEMAS, "station", "output", "evidence", "fleet", "page"}
    for name, schema in SCHEMAS.items():
        for table in document.get(name, []):
            build(schema, table)
    build(EvidenceConfig, document.get("evidence", {}))
    build(FleetConfig, document.get("fleet", {}))
    build(PageConfig, document.get("page", {}))
    for table in document.get("output", []):
        own = {key: value for key, value in table.items() if key not in GENERAL}
        try:
            kind = output_kind(table["kind"])
        except MissingExtra:
            continue
        build(kind.Settings, own)


def test_the_page_has_tables():
    assert len(TABLES) >= 2
