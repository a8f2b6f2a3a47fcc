"""`train --all`: what is checked before, what is done again, and what the others lose: nothing."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from edgeseg.cluster.config import ExecutorConfig, open_executor
from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.errors import ConfigError, DataError, EdgesegError, GateFailed, Interrupted, WriteError
from edgeseg.products.product import content_key
from edgeseg.products.products import train_all
from edgeseg.products.summary import ProductsReport
from edgeseg.recipes import TrainConfig
from tests.kit.errors import fails
from tests.products.conftest import pretend, write_product

pytest.importorskip("torch")
GIVEN = {"profile": "edge"}


def run(line, out, work=pretend, given=GIVEN, **options):
    return train_all(
        line, given, runs_dir=out, rate=0.5, executor=ExecutorConfig(**options), work=work
    )


def states(report):
    return {result.name: result.state for result in report.ordered()}


class Counting:
    """Counts the products that are worked on."""

    def __init__(self, stop_at=None):
        self.names, self.stop_at = [], stop_at

    def __call__(self, product):
        if product.name == self.stop_at:
            raise KeyboardInterrupt
        pretend(product)
        self.names.append(product.name)


def test_each_product_ends_in_its_own_state_and_the_exit_code_tells(line, tmp_path, said):
    report = run(line, tmp_path / "runs")
    assert states(report) == {"bottle": "shipped", "corrupt": "failed", "useless": "not shipped"}
    with fails(GateFailed, "products/not-shipped") as caught:
        report.check()
    assert "2 of 3 products" in caught.value.problem and "corrupt (failed)" in caught.value.problem
    assert caught.value.exit_code == 3
    document = json.loads((tmp_path / "runs" / "products.json").read_text())
    assert document == json.loads(json.dumps(report.to_json()))
    assert document["counts"] == {"shipped": 1, "not shipped": 1, "failed": 1, "not yet trained": 0}
    assert "fix corrupt: remove or replace the file" in report.summary()
    predicted = next(line for line in said if line.startswith("predicted"))
    assert "3 products, 1 at a time, 30 min of training each: 90 min in all" in predicted


def test_what_is_finished_is_not_done_again_and_what_changed_is(line, tmp_path):
    out = tmp_path / "runs"
    run(line, out)
    again = Counting()
    assert states(run(line, out, again))["bottle"] == "shipped"
    assert again.names == [], "only what failed is tried again, and fails again"
    write_product(line / "bottle", photos=21, seed=9)
    changed = Counting()
    run(line, out, changed)
    assert changed.names == ["bottle"]
    other = Counting()
    run(line, out, other, given=GIVEN | {"seed": 1})
    assert other.names == ["bottle", "useless"]


def test_after_ctrl_c_the_finished_products_are_kept(line, tmp_path):
    out = tmp_path / "runs"
    with pytest.raises(Interrupted):
        run(line, out, Counting(stop_at="useless"))
    document = json.loads((out / "products.json").read_text())
    assert [each["state"] for each in document["products"]] == [
        "shipped",
        "failed",
        "not yet trained",
    ]
    rest = Counting()
    run(line, out, rest)
    assert rest.names == ["useless"]


def test_a_product_that_cannot_be_trained_is_named_before_the_others_begin(line, tmp_path, said):
    (line / "empty").mkdir()
    write_product(line / "few", photos=2)
    report = run(line, tmp_path / "runs")
    assert states(report)["bottle"] == "shipped"
    assert states(report)["empty"] == states(report)["few"] == "failed"
    told = [line.split(":")[0] for line in said]
    assert told.index("empty") < told.index("bottle") and told.index("few") < told.index("bottle")


def test_what_cannot_be_shipped_is_told_before_it_is_trained(line, tmp_path, said):
    write_product(line / "few", photos=10)
    shutil.copytree(line / "few", line / "known")
    (line / "known" / "good" / "000.png").rename(tmp_path / "000.png")
    write_png(line / "known" / "bad" / "0.png", np.zeros((32, 32, 3), np.uint8))
    run(line, tmp_path / "runs")
    assert [line.split(":")[0] for line in said if "will not be" in line] == [
        "few will not be shipped"
    ]


@pytest.mark.parametrize("name", ["card.json", "resume.safetensors"])
def test_a_run_of_ones_own_is_not_overwritten(line, tmp_path, name):
    own = tmp_path / "runs" / "bottle"
    own.mkdir(parents=True)
    (own / name).write_text("{}")
    report = run(line, tmp_path / "runs")
    assert states(report)["bottle"] == "failed" and "--runs-dir" in report.results["bottle"].remedy
    assert [path.name for path in own.iterdir()] == [name]


def test_the_folder_of_the_runs_is_no_product(line, monkeypatch):
    monkeypatch.chdir(line)
    for _ in range(2):
        assert [*states(run(Path(), Path("runs")))] == ["bottle", "corrupt", "useless"]


def test_the_key_follows_photos_and_labels_and_not_the_place(tmp_path, monkeypatch):
    config = TrainConfig(profile="edge")
    good = write_product(tmp_path / "a" / "bottle") / "good"
    for place in ("train/good", "test/good", "test/scratch"):
        shutil.copytree(good, tmp_path / "b" / "bottle" / place)

    def key(root):
        return content_key(open_dataset(root), config, 0.1)

    before = key(tmp_path / "b" / "bottle")
    monkeypatch.chdir(tmp_path / "b")
    assert key(Path("bottle")) == before
    shutil.copytree(tmp_path / "b" / "bottle", tmp_path / "c" / "bottle")
    assert key(tmp_path / "c" / "bottle") == before
    Path("bottle/test/scratch").rename("bottle/test/stain")
    assert key(tmp_path / "b" / "bottle") != before
    (tmp_path / "c" / "bottle" / "boxes.csv").touch()
    assert key(tmp_path / "c" / "bottle") != before


def test_names_that_clash_no_products_and_a_full_disk_stop_before_all(line, tmp_path, monkeypatch):
    work = Counting()
    with fails(DataError, "products/none"):
        run(line / "bottle" / "good", tmp_path / "runs", work)
    write_product(line / "Bottle")
    with fails(ConfigError, "products/names-clash"):
        run(line, tmp_path / "runs", work)
    shutil.rmtree(line / "Bottle")
    usage = namedtuple("usage", "total used free")(1 << 30, 1 << 30, 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with fails(WriteError, "products/no-room"):
        run(line, tmp_path / "runs", work)
    assert work.names == []


def test_the_page_is_whole_in_itself_and_escapes(line, tmp_path):
    write_product(line / "<b>")
    run(line, tmp_path / "runs")
    page = (tmp_path / "runs" / "products.html").read_text()
    assert "default-src 'none'" in page and "://" not in page and "<script" not in page
    assert "&lt;b&gt;" in page and "<b>:" not in page and "0 of 20 &amp; &lt;none&gt;" in page
    assert 'href="bottle/report.html"' in page and 'href="%3Cb%3E/report.html"' in page
    for words in ("bottle: shipped", "useless: not shipped", "corrupt: failed"):
        assert words in page


def test_several_at_a_time_have_logs_of_their_own(line, tmp_path):
    shutil.rmtree(line / "corrupt")
    report = run(line, tmp_path / "runs", processes=2)
    assert states(report) == {"bottle": "shipped", "useless": "not shipped"}
    assert (tmp_path / "runs" / "bottle" / "products.log").is_file()


def test_a_second_start_at_the_same_time_is_refused_and_changes_nothing(line, tmp_path):
    out = tmp_path / "runs"

    def again(product):
        with fails(EdgesegError, "files/locked"):
            run(line, out, pytest.fail)
        pretend(product)

    assert states(run(line, out, again))["bottle"] == "shipped"


def test_every_machine_is_asked_for_the_packages_that_a_report_needs(line, tmp_path, monkeypatch):
    asked = []

    def opened(config, *, needs):
        asked.extend(needs)
        return open_executor(config, needs=needs)

    monkeypatch.setattr("edgeseg.products.products.open_executor", opened)
    run(line, tmp_path / "runs")
    assert set(asked) == {"torch", "jinja2", "matplotlib"}


def test_a_page_that_cannot_be_written_does_not_end_the_work_on_the_others(
    line, tmp_path, monkeypatch, said
):
    shutil.rmtree(line / "corrupt")
    update, calls = ProductsReport.update, []

    def full_once(report):
        calls.append(report)
        if len(calls) == 2:
            raise WriteError("cannot write products.html: disk full", remedy="df -h")
        update(report)

    monkeypatch.setattr(ProductsReport, "update", full_once)
    report = run(line, tmp_path / "runs")
    assert states(report) == {"bottle": "shipped", "useless": "not shipped"}
    assert any("disk full" in line for line in said)
    assert json.loads((tmp_path / "runs" / "products.json").read_text())["counts"]["shipped"] == 1
