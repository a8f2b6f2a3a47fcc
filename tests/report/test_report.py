"""The command: one file that loads nothing, whatever the photos are called."""

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.data.layouts import open_dataset
from edgeseg.errors import ConfigError, DataError, MissingExtra
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.loading import open_model
from edgeseg.report import report as room
from edgeseg.report.report import Inputs, report
from tests.kit.errors import fails
from tests.report.conftest import HOSTILE, HOSTILE_FILE, write_photo


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words = [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_report_of_a_graph_lies_beside_it_and_that_of_a_run_in_it(model):
    assert Inputs(model=model).html == model.with_name("plates.onnx-report.html")
    assert Inputs(model=model.parent).html == model.parent / "report.html"
    assert Inputs(model=model, pdf=True).outputs["--pdf"].name == "plates.onnx-report.pdf"


def test_the_page_loads_nothing_and_runs_nothing(page):
    addresses = [a[key] for _, a in page.tags for key in ("src", "srcset", "href") if key in a]
    assert len(addresses) > 20 and all(each.startswith("data:image/") for each in addresses)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "a"}
    assert not [k for _, a in page.tags for k in a if k == "style" or k.startswith("on")]
    assert "url(" not in page.source and "@import" not in page.source


def test_the_policy_allows_images_inside_and_this_style_alone(page):
    (policy,) = (a["content"] for a in page.named("meta") if "http-equiv" in a)
    (style,) = re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_hostile_names_are_text(page):
    assert HOSTILE in page.text and f"test/{HOSTILE}/{HOSTILE_FILE}" in page.text
    assert "<script>" not in page.source and "<img src=x" not in page.source
    assert any(HOSTILE in a["alt"] for a in page.named("img"))


def test_letters_of_every_script_are_in_the_page(page):
    assert "Größe 日本" in page.text


def test_the_figures_are_those_of_the_photos(page):
    assert "Defective parts that pass as good: 2 of 4" in page.text
    assert "Good parts that are rejected: 1 of 5" in page.text
    for word in ("in use", "0.7", "Weights", "00ff", "What this report cannot tell", "62 s"):
        assert word in page.text
    assert "1 good image is few" in page.text
    assert "learned from 1 photo of a good part" in page.text


def test_misses_and_false_rejects_have_their_pictures(page):
    alts = [a["alt"] for a in page.named("img")]
    for file in (f"test/{HOSTILE}/{HOSTILE_FILE}", "test/Größe 日本/100.png", "test/good/250.png"):
        assert sum(file in alt for alt in alts) == 1
    assert sum("its defect outlined" in alt for alt in alts) == 1
    assert all(alts), "every picture has a text"


def test_photos_are_called_trained_on_if_their_hashes_are_those_of_the_training(
    model, photos, page
):
    def seen(page):
        return [a["alt"] for a in page.named("img") if "train/good" in a["alt"]]

    assert seen(page) == ["Photo of a good part, train/good/10.png"]
    write_photo(photos / "train/good/10.png", 99)
    assert seen(Page(report(Inputs(model=model, data=photos)).paths["HTML"])) == []


def test_the_page_is_built_for_screen_readers(page):
    assert page.named("html")[0]["lang"] == "en"
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1 and headings[0] == 1
    steps = [after - before for before, after in pairwise(headings)]
    assert max(steps) <= 1, "no level is left out"
    tables = len(page.named("table"))
    assert tables == len(page.named("caption")) > 4
    assert all(a.get("scope") in ("row", "col") for a in page.named("th"))
    named = [a.get("aria-labelledby") for a in page.named("section") if "aria-label" not in a]
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert named and set(named) == ids


def test_the_latency_is_that_of_a_benchmark_or_not_measured(model, photos, page, tmp_path):
    assert "The latency was not measured" in page.text
    figures = {"p50_ms": 6.82, "p99_ms": 9.1, "max_ms": 123.4, "n": 200, "warmup": 20}
    words = {"model": "plates", "engine": "red engine", "machine": "a machine", "mode": "paced"}
    file = tmp_path / "benchmark.json"
    file.write_text("p50 6.8 ms\n" + json.dumps(figures | words) + "\n")
    text = Page(report(Inputs(model=model, data=photos, benchmark=file)).paths["HTML"]).text
    assert "not measured." not in text
    for word in ("6.8 ms", "9.1 ms", "123 ms", "red engine", "200, after 20"):
        assert word in text


@pytest.mark.parametrize("content", ["", "no JSON", '{"p50_ms": 1}', '{"model": []}', "[]"])
def test_a_file_that_is_no_benchmark_is_refused(model, tmp_path, content):
    file = tmp_path / "benchmark.json"
    file.write_text(content)
    with fails(ConfigError, "report/benchmark"):
        report(Inputs(model=model, benchmark=file))
    assert not Inputs(model=model).html.exists()


def test_a_benchmark_of_another_model_is_refused(model, tmp_path):
    file = tmp_path / "benchmark.json"
    figures = {"p50_ms": 6.82, "p99_ms": 9.1, "max_ms": 12, "n": 200, "warmup": 20}
    words = {"model": "screws", "engine": "e", "machine": "m", "mode": "paced"}
    file.write_text(json.dumps(figures | words))
    with fails(ConfigError, "report/benchmark"):
        report(Inputs(model=model, benchmark=file))


def test_a_model_without_photos_and_evaluation_is_called_unmeasured(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = report(Inputs(model=model))
    assert found.decision.tone == "unmeasured"
    text = Page(found.paths["HTML"]).text
    assert "Not measured: nothing is known" in text and "Scores and threshold" not in text


def test_a_stored_evaluation_is_shown_with_its_contact_sheet(model, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_model(model) as backend:
        evaluate(backend, open_dataset(photos), out=tmp_path / "evaluations/plates/x").store()
    found = report(Inputs(model=model))
    page = Page(found.paths["HTML"])
    assert "Defective parts that pass as good: 2 of 4" in page.text
    assert any("each as photo, ground truth" in a["alt"] for a in page.named("img"))
    assert HOSTILE in page.text and "<script>" not in page.source
    (tmp_path / "evaluations/plates/x/scores.csv").write_text("no,rows\n1,2\n")
    assert report(Inputs(model=model)).decision.tone == "unmeasured", "a damaged one is not used"


def test_only_good_photos_say_nothing_about_misses(model, tmp_path):
    root = tmp_path / "only"
    for red in (10, 11, 240):
        write_photo(root / f"train/good/{red}.png", red)
    found = report(Inputs(model=model, data=root))
    assert found.decision.title == "Not measured: no photos of defective parts"
    text = Page(found.paths["HTML"]).text
    assert "set on these very photos" in text and "Good parts that are rejected: 0 of 1" in text


def test_photos_that_are_neither_labeled_nor_held_out_are_refused(model, tmp_path):
    write_photo(tmp_path / "only/train/good/x.png", 10)
    with fails(DataError, "data/no-test-images"):
        report(Inputs(model=model, data=tmp_path / "only"))


def test_a_report_is_replaced_and_no_other_file_is(model, tmp_path):
    out = tmp_path / "out.html"
    for _ in range(2):
        assert report(Inputs(model=model, out=out)).paths["HTML"] == out
    out.write_text("<html>mine</html>")
    with fails(ConfigError, "report/exists"):
        report(Inputs(model=model, out=out))
    assert out.read_text() == "<html>mine</html>"


def test_the_file_needs_a_name_of_a_page_and_is_no_input(model, tmp_path):
    with fails(ConfigError, "report/suffix"):
        report(Inputs(model=model, out=tmp_path / "report.txt"))
    with fails(ConfigError, "output/is-input"):
        report(Inputs(model=model, benchmark=tmp_path / "b.html", out=tmp_path / "b.html"))


@pytest.mark.parametrize(("module", "extra"), [("jinja2", "report"), ("matplotlib", "report")])
def test_a_missing_package_is_reported_before_a_photo_is_judged(
    model, photos, monkeypatch, module, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(room, "open_model", lambda *given, **options: pytest.fail("too late"))
    with pytest.raises(MissingExtra) as caught:
        report(Inputs(model=model, data=photos))
    assert module in caught.value.problem
    assert extra in caught.value.remedy or module in caught.value.remedy


def test_large_photos_and_many_types_leave_a_file_that_can_be_mailed(model, tmp_path):
    root = tmp_path / "many"
    for k in range(12):
        write_photo(root / f"train/good/{k}.png", 10)
        write_photo(root / f"test/good/{k}.png", 200 + k)
        write_photo(root / f"test/type {k}/0.png", 250)
        write_photo(root / f"test/type {k}/1.png", 20)
    found = report(Inputs(model=model, data=root))
    assert found.bytes == found.paths["HTML"].stat().st_size < 2 << 20
    assert 40 < len(Page(found.paths["HTML"]).named("img")) < 80


def test_the_command_prints_the_verdict_and_the_file(model, photos):
    done = CliRunner().invoke(app, ["report", str(model), "--data", str(photos), "--json"])
    assert done.exit_code == 0, done.output
    assert "pass as good: 2 of 4" in done.stdout and "report.html" in done.stdout
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["verdict"] == "stop" and document["paths"]["HTML"].endswith("report.html")
