"""push and pull, by the commands: what arrives, and which engine."""

import json
from dataclasses import replace

import pytest

from edgeseg.cards import CARD as RUN_CARD
from edgeseg.cards import EngineCard, read_card, write_card
from edgeseg.errors import ConfigError, DataError, ModelError, RegistryError, WriteError
from edgeseg.files import sha256
from edgeseg.fleet import pull as module
from edgeseg.fleet.artifact import CARD, GRAPH, MODEL, REPORT, Artifact
from edgeseg.fleet.config import PullConfig, PushConfig
from edgeseg.fleet.pull import pull
from edgeseg.fleet.push import push
from edgeseg.fleet.registry import blob_of
from edgeseg.loading import open_model
from edgeseg.quantize.calibration_file import Range, Ranges, write_ranges
from tests.cli.conftest import run  # noqa: F401
from tests.kit.cards import make_run_card
from tests.kit.errors import fails
from tests.kit.followed import release
from tests.kit.registry import client


def last(out):
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def graph(tmp_path):
    """A run with everything that goes with a graph."""
    from onnx import save

    from tests.kit.red_graph import red_graph

    folder = tmp_path / "runs/plates"
    folder.mkdir(parents=True)
    save(red_graph(), folder / "plates.onnx")
    write_card(folder / RUN_CARD, make_run_card(name="plates", weights_sha256="00ff"))
    (folder / "report.html").write_text("<p>fine")
    ranges = Ranges(
        graph="plates.onnx", graph_sha256=sha256(folder / "plates.onnx"), tensors={"x": Range(1.0)}
    )
    write_ranges(tmp_path / "calibration/plates.ranges.json", ranges)
    return folder / "plates.onnx"


def test_everything_arrives_and_nothing_twice(run, tmp_path, graph, place):  # noqa: F811
    code, out, _ = run("push", graph, place, "--json")
    pushed = last(out)
    names = ["model-card.json", "plates.onnx", "plates.ranges.json", "report.html"]
    assert (code, sorted(pushed["files"])) == (0, [*names, "thresholds.json"])
    assert pushed["sent"] > graph.stat().st_size
    assert last(run("push", graph, place, "--json")[1])["sent"] == 0
    code, out, _ = run("pull", place, "--build", "--precision", "fp32", "--json")
    found = last(out)
    assert (code, found["digest"], found["how"]) == (0, pushed["digest"], "built")
    folder = tmp_path / found["folder"]
    assert folder.name == f"bottle-{pushed['digest'][7:19]}"
    assert (folder / "plates.onnx").read_bytes() == graph.read_bytes()
    assert json.loads((folder / "thresholds.json").read_text())["image_threshold"] == 0.7
    assert {*names, "thresholds.json"} < {path.name for path in folder.iterdir()}
    with open_model(tmp_path / found["engine"]) as backend:
        assert backend.card.image_threshold == 0.7
    again = last(run("pull", place, "--precision", "fp32", "--json")[1])
    assert (again["how"], again["received"]) == ("here", 0)
    (folder / "report.html").write_text("torn")
    assert last(run("pull", place, "--json")[1])["received"] == len("<p>fine")
    pinned = f"{place.rpartition(':')[0]}@{pushed['digest']}"
    assert last(run("pull", pinned, "--to", "other", "--json")[1])["digest"] == pushed["digest"]


def test_what_was_pulled_is_pushed_as_it_is(run, tmp_path, graph, place):  # noqa: F811
    first = push(graph, place, PushConfig()).digest
    found = last(run("pull", f"{place.removesuffix(':stable')}@{first}", "--json")[1])
    folder = tmp_path / found["folder"]
    other = place.replace(":stable", ":back")
    code, out, _ = run("push", found["folder"], other, "--json")
    assert (code, last(out)["digest"], last(out)["sent"]) == (0, first, 0)
    elsewhere = place.replace("bottle", "cap")
    assert push(folder, elsewhere, PushConfig()).digest == first
    assert pull(elsewhere, PullConfig(to=tmp_path / "to")).digest == first
    (folder / "report.html").write_text("<p>changed")
    with fails(ModelError, "model/damaged"):
        push(folder, place, PushConfig())
    (folder / "report.html").unlink()
    assert push(folder, place, PushConfig()).digest == first  # the registry has it
    with fails(ModelError, "model/damaged"):
        push(folder, place.replace("bottle", "lid"), PushConfig())
    with fails(ConfigError, "registry/pulled"):
        push(folder, place, PushConfig(calibration=tmp_path / "c.json"))
    with fails(DataError, "data/unreadable"):
        push(tmp_path, place, PushConfig())


def test_an_engine_that_one_device_has_built_is_pulled_by_another(tmp_path, graph, place):
    push(graph, place, PushConfig())
    first = pull(place, PullConfig(to=tmp_path / "a", precision="fp32", build=True, push=True))
    second = pull(place, PullConfig(to=tmp_path / "b", precision="fp32"))
    assert (first.how, second.how, second.digest) == ("built", "pulled", first.digest)
    assert second.engine.read_bytes() == first.engine.read_bytes()
    third = pull(place, PullConfig(to=tmp_path / "c", precision="int8"))
    assert third.engine is None and "--build" in third.summary()


def test_an_engine_that_is_here_is_checked_for_the_gpu_that_is_asked_for(
    tmp_path, graph, place, monkeypatch
):
    push(graph, place, PushConfig())
    pull(place, PullConfig(to=tmp_path / "a", precision="fp32", build=True))
    checked = []
    monkeypatch.setattr(module, "this_machine", lambda device: device)
    monkeypatch.setattr(module, "check_engine", lambda path, here=None: checked.append(here))
    found = pull(place, PullConfig(to=tmp_path / "a", precision="fp32", device=1))
    assert (found.how, checked) == ("here", [1])


def test_an_engine_is_pushed_for_its_own_graph_alone(tmp_path, graph, place):
    push(graph, place, PushConfig())
    built = pull(place, PullConfig(to=tmp_path / "a", precision="fp32", build=True)).engine
    assert push(built, place, PushConfig()).reference.endswith("-cpu-fp32")
    release(tmp_path / "m", place, limit=0.1)
    with pytest.raises(Exception, match="another graph"):
        push(built, place, PushConfig())
    with fails(RegistryError, "registry/not-found"):
        push(built, place.replace("stable", "none"), PushConfig())
    built.write_bytes(b"changed")
    with pytest.raises(Exception, match="it was changed"):
        push(built, place, PushConfig())


def test_an_engine_that_does_not_fit_is_not_used(tmp_path, graph, place, said):
    push(graph, place, PushConfig())
    built = pull(place, PullConfig(to=tmp_path / "a", precision="fp32", build=True)).engine
    card = read_card(built.with_suffix(".json"), EngineCard)
    wrong = replace(card, target="sm10", file="plates.engine")
    for number, changed in enumerate((wrong, replace(card, file="thresholds.onnx"))):
        path = tmp_path / f"w{number}" / changed.file
        path.parent.mkdir()
        path.write_bytes(built.read_bytes())
        write_card(path.with_suffix(".json"), changed)
        push(path, place, PushConfig())
        registry = client(*place.split("/", 1))
        digest = registry.manifest("stable")[1].replace(":", "-")
        variants = {"sm10": f"{card.runtime}-{card.runtime_version}-sm10-fp32"}
        made = registry.manifest(f"{digest}.{variants.get(changed.target, '')}")
        made = made or registry.manifest(f"{digest}.{card.runtime}-cpu-fp32")
        registry.put_manifest(made[0], f"{digest}.{card.runtime}-cpu-fp32")
        found = pull(place, PullConfig(to=tmp_path / f"b{number}", precision="fp32"))
        assert found.engine is None
    assert sum("is not used" in line for line in said) == 2
    assert json.loads((tmp_path / "b1/thresholds.json").read_text())["name"] == "plates"


def test_a_folder_of_something_else_is_left_alone(tmp_path, graph, place):
    push(graph, place, PushConfig())
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("ten years")
    with fails(WriteError, "write/exists"):
        pull(place, PullConfig(to=folder))
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    first = tmp_path / "first"
    pull(place, PullConfig(to=first))
    release(tmp_path / "m", place, limit=0.1)
    with fails(WriteError, "write/exists"):
        pull(place, PullConfig(to=first))


@pytest.mark.parametrize(
    ("kind", "title"),
    [(CARD, "artifact.json"), (CARD, "x.so"), (GRAPH, "x.json"), (REPORT, "thresholds.json")],
)
def test_names_that_would_replace_other_files_are_refused(tmp_path, registry, kind, title):
    pushes = client(registry.host, "line/names:stable")
    graph = blob_of(b"x", GRAPH, title if kind == GRAPH else "x.onnx")
    layers = [graph] if kind == GRAPH else [graph, blob_of(b"x", kind, title)]
    pushes.send(graph, b"x")
    pushes.put_manifest(Artifact(MODEL, graph, tuple(layers)).to_bytes(), "stable")
    with fails(RegistryError, "registry/manifest"):
        pull(f"{registry.host}/line/names:stable", PullConfig(to=tmp_path / "to"))
    assert not (tmp_path / "to").exists()


def test_a_push_needs_a_tag(graph):
    for name in ("r.test/a@sha256:" + "0" * 64, "r.test/a:b@sha256:" + "0" * 64):
        with fails(ConfigError, "registry/no-tag"):
            push(graph, name, PushConfig())
