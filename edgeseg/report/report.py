"""The command `report`: judge, collect, and write one HTML file, and a PDF where asked for."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.errors import ConfigError, ModelError
from edgeseg.evaluation.folder import SHEET
from edgeseg.files import check_outputs, check_writable, quoted, sha256, shown, write_atomic
from edgeseg.loading import open_model
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require
from edgeseg.prediction import Model
from edgeseg.report.decision import Decision, decide, limits
from edgeseg.report.facts import ModelFacts, Rows, engines_of, facts_of
from edgeseg.report.latency import Latency, read_latency
from edgeseg.report.measured import Judgements, measure, stored
from edgeseg.report.page import GENERATOR, Page
from edgeseg.report.pdf import check_pdf, pdf_of
from edgeseg.report.pictures import Group, choose, data_uri, make_groups, parts_seen
from edgeseg.runtime.base import Backend

REPORT = "report.html"
HEAD = 4096  # bytes of a file in which the mark of a report is looked for
SHEET_BYTES = 4 << 20  # of a contact sheet that is embedded


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a report is made from, and where it goes."""

    model: Path
    data: Path | None = None
    benchmark: Path | None = None
    out: Path | None = None
    pdf: bool = False

    @property
    def html(self) -> Path:
        """The HTML file: report.html of a run, beside any other model under its name."""
        if self.out is not None:
            return self.out
        if (self.model / CARD).is_file():
            return self.model / REPORT
        return self.model.with_name(f"{self.model.name}-{REPORT}")

    @property
    def outputs(self) -> dict[str, Path]:
        """Flag -> file."""
        pdf = {"--pdf": self.html.with_suffix(".pdf")} if self.pdf else {}
        return {"--out": self.html} | pdf


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """The files that were written, and the verdict that they begin with."""

    decision: Decision
    paths: dict[str, Path]
    bytes: int
    """Of the HTML file."""

    def summary(self) -> str:
        """Return the verdict and the files, as text."""
        lines = [self.decision.title, *(f"  {line}" for line in self.decision.words)]
        lines += [f"next: {step}" for step in self.decision.steps]
        lines += [f"{kind}: {shown(path)}" for kind, path in self.paths.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and the files as one JSON object."""
        return {
            "verdict": self.decision.tone,
            "title": self.decision.title,
            "words": list(self.decision.words),
            "next": list(self.decision.steps),
            "paths": {kind: str(path) for kind, path in self.paths.items()},
            "bytes": self.bytes,
        }


def report(
    inputs: Inputs,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    dataset: Dataset | None = None,
) -> WrittenReport:
    """Make the report of a model.

    dataset: the opened data, where not all of its images are to be judged.
    Without data the newest stored evaluation of the model is shown; without one, the report says
    that nothing was measured. Errors: MissingExtra, ConfigError (`report/...`, `output/...`),
    those of `open_dataset` and of the model, all before the first photo is judged.
    """
    _check(inputs)
    if dataset is None and inputs.data is not None:
        dataset = open_dataset(inputs.data)
    with open_model(inputs.model, runtime=runtime, threads=threads) as backend:
        facts = facts_of(inputs.model, backend.card)
        latency = None
        if inputs.benchmark is not None:
            latency = read_latency(inputs.benchmark, backend.card)
        page = _page(inputs, backend, facts, dataset, latency)
    html = page.html()
    written = {"HTML": inputs.html}
    if inputs.pdf:
        written["PDF"] = inputs.outputs["--pdf"]
        document = pdf_of(html)  # before the first file is replaced
        write_atomic(written["PDF"], document)
    write_atomic(inputs.html, html.encode())
    return WrittenReport(decision=page.decision, paths=written, bytes=len(html.encode()))


def _check(inputs: Inputs) -> None:
    """Refuse what would fail after the photos were judged."""
    for module in ("jinja2", "matplotlib"):
        require(module, extra="report")
    if inputs.pdf:
        check_pdf()
    if inputs.html.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"invalid --out: {shown(inputs.html)} (expected a name that ends in .html)",
            remedy=f"--out {quoted(inputs.html.with_suffix('.html'))}",
            code="report/suffix",
        )
    given = (inputs.data, inputs.benchmark, None if inputs.model.is_dir() else inputs.model)
    check_outputs(dict(inputs.outputs), [path for path in given if path is not None])
    check_writable(inputs.html.parent)
    for path in inputs.outputs.values():
        if path.exists() and not _is_report(path):
            raise ConfigError(
                f"{shown(path)} exists and is no report of edgeseg",
                remedy=f"--out {quoted(path.with_name('new-' + path.with_suffix('.html').name))}",
                code="report/exists",
            )


def _is_report(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return path.suffix == ".pdf" or GENERATOR.encode() in file.read(HEAD)
    return False


def _page(
    inputs: Inputs,
    backend: Backend,
    facts: ModelFacts,
    dataset: Dataset | None,
    latency: Latency | None,
) -> Page:
    card = backend.card
    measured = stored(card) if dataset is None else measure(backend, dataset, facts.run)
    groups = []
    notes = []
    if measured is not None and dataset is not None:
        try:
            groups = _groups(measured, dataset, backend)
        except ModelError as error:
            if error.code != "model/batch":
                raise
            notes.append("The model takes several photos in one run; no picture was made with it.")
    data = inputs.data or "DATA"
    trained = facts.run.split.get("train", {}) if facts.run else {}
    if warning := facts.threshold_warning():
        notes.append(f"{warning[0].upper()}{warning[1:]}.")
    return Page(
        facts=facts,
        decision=decide(measured, f"{quoted(inputs.model)} {quoted(data)}"),
        limits=limits(measured, card, gpu=this_machine().gpu is not None) + notes,
        measured=measured,
        groups=groups,
        seen=parts_seen(dataset, trained, card.bit_depth) if dataset else [],
        sheet=_sheet(measured) if measured and dataset is None else None,
        latency=latency,
        engines=engines_of(card),
        data_hashes=[] if dataset is None else _hashes(dataset),
        threshold_command=f"edgeseg threshold {quoted(inputs.model)} {quoted(data)}",
        latency_commands=(
            f"edgeseg benchmark {quoted(inputs.model)} --json > benchmark.json",
            f"edgeseg report {quoted(inputs.model)} --data {quoted(data)} --benchmark "
            "benchmark.json",
        ),
    )


def _groups(measured: Judgements, dataset: Dataset, backend: Backend) -> list[Group]:
    model = Model(backend)
    choices = choose(measured)
    log.info(f"pictures of {sum(len(choice.rows) for choice in choices)} photos")
    return make_groups(
        choices, dataset, lambda image: model(image, channels="rgb"), backend.card.bit_depth
    )


def _sheet(measured: Judgements) -> str | None:
    """Return the contact sheet beside a stored evaluation, if it is there and not too large."""
    path = measured.folder / SHEET if measured.folder else None
    if path is None or not path.is_file() or path.stat().st_size > SHEET_BYTES:
        return None
    return data_uri(path.read_bytes(), "image/png")


def _hashes(dataset: Dataset) -> Rows:
    """Return one hash over the labeled photos: of their names and of their own hashes."""
    digest = hashlib.sha256()
    for sample in dataset.test:
        name = shown(sample.path.relative_to(dataset.root).as_posix())
        digest.update(f"{name}\0{sha256(sample.path)}\n".encode())
    count = len(dataset.test)
    return [(f"The {count} labeled photos, names and contents", digest.hexdigest())]
