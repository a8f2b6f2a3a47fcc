"""Where the jobs run: flags that contradict each other are refused before anything starts."""

import pytest

from edgeseg.cluster.config import ExecutorConfig, open_executor
from edgeseg.cluster.local import Local
from edgeseg.errors import ConfigError
from tests.kit.errors import fails


def test_this_machine_is_the_default_and_shares_its_cores():
    with open_executor(ExecutorConfig(cores=3)) as executor:
        assert executor == Local(1, 3)
    with open_executor(ExecutorConfig(processes=1000)) as executor:
        assert executor == Local(1000, 1)


@pytest.mark.parametrize(
    "on", ["ray", "slurm", "node-1:6379", "ray://10.0.0.1:10001", "[::1]:6379"]
)
def test_places(on):
    assert ExecutorConfig(on=on).on == on


@pytest.mark.parametrize("on", ["", "dask", "http://host:1", "host", "ray://host", "host:port"])
def test_an_unknown_place_is_refused(on):
    with fails(ConfigError, "cluster/unknown-executor"):
        ExecutorConfig(on=on)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gpus": 1.0},
        {"memory_gb": 1.0},
        {"store": "s3://bucket"},
        {"slurm": "partition=gpu"},
        {"slurm": "partition=gpu", "on": "ray"},
        {"store": "s3://bucket", "on": "slurm"},
    ],
)
def test_a_setting_of_another_place_is_refused(wrong):
    with fails(ConfigError, "cluster/other-executor"):
        ExecutorConfig(**wrong)


@pytest.mark.parametrize("store", ["", "bucket/folder", "s3:/bucket"])
def test_a_store_is_an_address(store):
    with fails(ConfigError, "cluster/store"):
        ExecutorConfig(on="ray", store=store)
