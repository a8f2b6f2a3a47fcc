"""Make one product: train, set the thresholds, export, judge, report, and build its engine.

Each step that is complete for the same settings and photos is kept, so that an interrupted product
goes on where it stopped. What was made of others is kept in earlier/.
"""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.config import BuildConfig
from edgeseg.data.defective.known import refuse_good_and_bad
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.data.rotation_policy import resolve_rotation
from edgeseg.engine.build_engine import build_engine
from edgeseg.errors import BuildError, GateFailed
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.exporter.ensure import exported_graph
from edgeseg.files import shown
from edgeseg.frame.geometry import size_text
from edgeseg.log import log
from edgeseg.machine.threads import limit_threads
from edgeseg.products.judge import judge_drawn, useless
from edgeseg.products.product import (
    EARLIER,
    ENGINES,
    NOT_SHIPPED,
    PICTURE,
    RESULT,
    SHIPPED,
    Product,
    ProductResult,
    read_begun,
    read_result,
    write_begun,
    write_result,
)
from edgeseg.report.report import REPORT, Inputs, report
from edgeseg.training.folder import REPLACEMENT, checkpoint_of, resumed


def make_product(product: Product) -> None:
    """Make a product and write its product.json; the work of a job.

    Errors: those of every step but failed gates, which are its result.
    """
    began = time.perf_counter()
    limit_threads(product.threads)
    dataset = open_dataset(product.data)
    refuse_good_and_bad(dataset)
    _train(product, dataset, began)
    run, files = product.folder, {"report": REPORT}
    card = read_card(run / CARD, ModelCard)
    result = ProductResult(
        name=product.name,
        state=SHIPPED,
        key=product.key,
        photos=len(card.split["train"]),
        network=f"{size_text(card.network_size)} px",
    )
    held = [dataset.root / name for name in card.split["holdout"]]
    try:
        if held and card.threshold_note.get("false_reject_rate") != product.rate:
            threshold_run(run, product.data, product.rate)
        graph = exported_graph(run)
        files["graph"] = graph.name
        drawn = judge_drawn(graph, dataset, held, run / PICTURE)
        decision = report(Inputs(model=run, data=product.data)).decision
        result = replace(result, title=decision.title, words=decision.words, drawn=drawn)
        if found := useless(decision, drawn):
            reason, remedy = found
            result = replace(result, state=NOT_SHIPPED, reason=reason, remedy=remedy)
        else:
            engine = build_engine(graph, BuildConfig(data=product.data), out=run / ENGINES)
            files["engine"] = f"{ENGINES}/{engine.path.name}"
    except (GateFailed, BuildError) as error:
        result = replace(result, state=NOT_SHIPPED, reason=error.problem, remedy=error.remedy)
    write_result(run, replace(result, files=files, seconds=time.perf_counter() - began))


def _train(product: Product, dataset: Dataset, began: float) -> None:
    """Train, resume, or keep a complete training of the same settings and photos."""
    from edgeseg.training.timing import sized
    from edgeseg.training.train import train

    run = product.folder
    key, trained = read_begun(run)
    if key == product.key and trained and (run / CARD).is_file():
        return
    checkpoint = checkpoint_of(run) if key == product.key else None
    resume = checkpoint is not None
    if checkpoint is not None:
        _, config, _ = resumed(checkpoint, run, product.data, {})
    else:
        config = resolve_rotation(product.config, dataset)
        _keep_earlier(run)
        write_begun(run, product.key, trained=False)
    config, plan = sized(dataset, config, product.given, started=began, resume=resume)
    train(dataset, config, run, resume=resume, overwrite=not resume, plan=plan)
    shutil.rmtree(run / ENGINES, ignore_errors=True)  # of earlier weights, which earlier/ has
    write_begun(run, product.key, trained=True)


def _keep_earlier(run: Path) -> None:
    """Keep what was made of other settings or photos; files are linked, not copied, if possible."""
    result = read_result(run)
    if result is None or not (run / CARD).is_file():
        return
    kept = run / EARLIER / (result.key[:12] or "unknown")
    if not (kept / RESULT).is_file():
        left = shutil.ignore_patterns(EARLIER, REPLACEMENT, ".part-*", "*.log", RESULT)
        shutil.rmtree(kept, ignore_errors=True)  # of a killed process
        shutil.copytree(run, kept, ignore=left, copy_function=_link)
        _link(str(run / RESULT), str(kept / RESULT))  # the last one marks the others as complete
    log.info(f"{shown(run)}: settings or photos have changed; the model of before: {shown(kept)}")


def _link(source: str, target: str) -> None:
    """Link a file: every writer replaces files, so the linked one keeps its content."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
