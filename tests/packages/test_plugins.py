"""What another package offers is loaded, or named with its package and its remedy."""

from importlib.metadata import entry_points

import pytest

from edgeseg.errors import ConfigError, DataError
from edgeseg.packages.plugins import load_plugin
from tests.kit.errors import fails

MODULE = """
from edgeseg.errors import DataError
def output(): return 6
def __getattr__(name):
    if name == "told": raise DataError("no license", remedy="ask for one")
    raise AttributeError(name)
"""


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """Write a package with entry points; return them by name."""
    info = tmp_path / "plant_outputs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plant-outputs\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[plant.outputs]\ngood = plant_good:output\ntold = plant_good:told\n"
        "missing = plant_good:other\ngone = plant_gone:output\ntorn = plant_torn:output\n"
    )
    (tmp_path / "plant_good.py").write_text(MODULE)
    (tmp_path / "plant_torn.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    return {each.name: each for each in entry_points(group="plant.outputs")}


def test_what_a_package_offers_is_loaded(entries):
    assert load_plugin(entries["good"])() == 6


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "AttributeError: "),
        ("gone", "ModuleNotFoundError: No module named 'plant_gone'"),
        ("torn", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_package_is_named_with_what_went_wrong(entries, name, why):
    with fails(ConfigError, "plugin/broken") as caught:
        load_plugin(entries[name])
    assert f"{name} from the package plant-outputs: {why}" in caught.value.problem
    assert caught.value.remedy == "pip install --upgrade plant-outputs"


def test_an_error_with_a_remedy_of_its_own_passes(entries):
    with pytest.raises(DataError) as caught:
        load_plugin(entries["told"])
    assert caught.value.remedy == "ask for one"
