"""The command `train --all`: every product of a folder, several at a time, with one summary page.

    RUNS/products.html, products.json      updated after every product
    RUNS/<name>/                           product.py

Run the same command again to go on: what is finished with the same settings and photos is kept.
"""

import dataclasses
import math
import unicodedata
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD
from edgeseg.cluster.config import ExecutorConfig, open_executor
from edgeseg.cluster.jobs import Countdown, Executor, Failure, run_jobs
from edgeseg.data.layouts import open_dataset
from edgeseg.data.listing import subfolders
from edgeseg.errors import ConfigError, DataError, EdgesegError, WriteError
from edgeseg.evaluation.threshold import check_rate, rate_warning
from edgeseg.files import check_outputs, check_room, check_writable, locked, quoted, shown
from edgeseg.log import log
from edgeseg.packages.extras import require
from edgeseg.presets import SIZED
from edgeseg.products.judge import unknown
from edgeseg.products.product import (
    BEGUN,
    FAILED,
    LOG,
    RESULT,
    Product,
    ProductResult,
    content_key,
    read_result,
)
from edgeseg.products.summary import ProductsReport
from edgeseg.recipes import TrainConfig
from edgeseg.text import counted
from edgeseg.training.folder import check_run_name, unfinished

NEEDS = ("torch", "jinja2", "matplotlib")
"""Packages of every machine that makes products."""
ROOM = 256 << 20  # bytes of disk for a product: weights, two checkpoints, graph, engine, report


def train_all(
    folder: Path,
    given: dict[str, Any],
    *,
    runs_dir: Path,
    rate: float,
    executor: ExecutorConfig,
    work: Callable[[Product], None] | None = None,
) -> ProductsReport:
    """Train every product folder in a folder and return the report of all.

    given: settings of TrainConfig, for every product. work: replaces `make_product`. Errors, before
    anything is trained: DataError without products, ConfigError for names that clash, WriteError
    for the disk, EdgesegError (`files/locked`) for runs that another process makes; Interrupted
    later. A product that fails is in the report.
    """
    for module in NEEDS:
        require(module, extra="train" if module == "torch" else "report")
    from edgeseg.products.make import make_product

    check_rate(rate)
    config = TrainConfig(**given)
    check_outputs({"--runs-dir": runs_dir}, [folder])
    products, results = _find(folder, config, tuple(given), rate, runs_dir)
    check_writable(runs_dir)
    runs_dir.mkdir(parents=True, exist_ok=True)
    with locked(runs_dir):
        finished = {p.name: found for p in products if (found := _finished(p)) is not None}
        jobs = [product for product in products if product.name not in finished]
        check_room(
            runs_dir,
            len(jobs) * ROOM,
            f"{counted(len(jobs), 'product')} need about",
            remedy="free disk space, or --runs-dir FOLDER on another disk",
            code="products/no-room",
        )
        order = [path.name for path in _places(folder, runs_dir)]
        results |= finished
        report = ProductsReport(folder=folder, runs=runs_dir, order=order, results=results)
        report.update()
        log.info(
            f"{counted(len(order), 'product')}: {len(finished)} finished, {len(jobs)} to do"
            + (f", {len(order) - len(products)} cannot be trained" * (len(order) > len(products)))
        )
        if jobs:
            with open_executor(executor, needs=NEEDS) as opened:
                log.info(_prediction(config, given.keys(), len(jobs), opened.processes))
                _run(jobs, work or make_product, opened, report)
            report.update()
        return report


def _find(
    folder: Path, config: TrainConfig, given: tuple[str, ...], rate: float, runs_dir: Path
) -> tuple[list[Product], dict[str, ProductResult]]:
    """Return the products that can be trained, and the others as failed results."""
    from edgeseg.training.prepare import split_samples

    places = _places(folder, runs_dir)
    if not places:
        raise DataError(
            f"no product folders in {shown(folder)} (expected one folder of photos for each)",
            remedy=f"for example {quoted(folder / 'bottle' / 'good')}",
            code="products/none",
        )
    _check_names(places)
    products, failed = [], {}
    for place in places:
        try:
            check_run_name(place.name)
            dataset = open_dataset(place)
            _, held = split_samples(dataset, config)
            if held and (warning := rate_warning(len(held), rate)):
                log.warning(f"{place.name}: {warning}")
            if reason := unknown(dataset, len(held)):
                log.warning(f"{place.name} will not be shipped: {reason}")
            product = Product(
                name=place.name,
                data=place,
                folder=runs_dir / place.name,
                config=config,
                given=given,
                rate=rate,
                key=content_key(dataset, config, rate),
            )
            _check_own(product)
            products.append(product)
        except EdgesegError as error:
            failed[place.name] = ProductResult(
                name=place.name, state=FAILED, reason=error.problem, remedy=error.remedy
            )
            log.warning(f"{place.name}: {error.problem}")
    return products, failed


def _places(folder: Path, runs_dir: Path) -> list[Path]:
    """Return the product folders in a folder, which may have the runs beside them."""
    runs = runs_dir.resolve()
    return [path for path in subfolders(folder) if path.resolve() != runs]


def _check_names(places: Sequence[Path]) -> None:
    """ConfigError (`products/names-clash`) for names that some file systems do not tell apart."""
    seen: dict[str, str] = {}
    for place in places:
        plain = unicodedata.normalize("NFC", place.name).casefold()
        if plain in seen:
            raise ConfigError(
                f"the product folders {shown(seen[plain])} and {shown(place.name)} differ in case "
                "or in the encoding of accents alone, and their runs would be one folder on some "
                "disks",
                remedy="rename one of them",
                code="products/names-clash",
            )
        seen[plain] = place.name


def _check_own(product: Product) -> None:
    """ConfigError (`products/run-exists`) for a run that `train --all` has not made."""
    run = product.folder
    trained = (run / CARD).is_file() or unfinished(run) is not None
    if trained and not any((run / name).is_file() for name in (RESULT, BEGUN)):
        raise ConfigError(
            f"{shown(run)} is a run that was trained by itself, and is kept",
            remedy="--runs-dir FOLDER for the runs of all products",
            code="products/run-exists",
        )


def _finished(product: Product) -> ProductResult | None:
    """Return the result of the same settings and photos, or None."""
    found = read_result(product.folder)
    return found if found is not None and found.key == product.key else None


def _prediction(config: TrainConfig, given: Set[str], count: int, processes: int) -> str:
    """Return the time of all, in words."""
    from edgeseg.training.checkpoint import torch_device
    from edgeseg.training.plan import MINUTES

    rounds = math.ceil(count / processes)
    at_a_time = f"{counted(count, 'product')}, {min(processes, count)} at a time"
    own = {"student_steps", "epochs"} & given and "head_steps" in given and "image_size" in given
    if own or (config.minutes is None and config.profile not in SIZED):
        return f"{at_a_time}; the first one tells how long all take"
    each = config.minutes or MINUTES[torch_device(config.device).type]
    return (
        f"predicted: {at_a_time}, {each:g} min of training each: {rounds * each:g} min in all, and "
        "up to a fifth more for reports and engines"
    )


def _run(
    jobs: Sequence[Product],
    work: Callable[[Product], None],
    executor: Executor,
    report: ProductsReport,
) -> None:
    countdown = Countdown(len(jobs), executor.processes, "products")

    def on_end(product: Product, failure: Failure | None) -> None:
        result = _finished(product) if failure is None else None
        if result is None:
            failure = failure or Failure("no result was written", "run the same command again")
            result = ProductResult(
                name=product.name, state=FAILED, reason=failure.problem, remedy=failure.remedy
            )
        report.results[product.name] = result
        try:
            report.update()
        except WriteError as error:  # a full disk must not end the work on the others
            log.warning(error.problem)
        state = f"{result.state}: {result.reason}" if result.reason else result.state
        log.info(f"{product.name}: {state}; {countdown.ended(failure)}")

    run_jobs(
        [dataclasses.replace(job, threads=executor.cores) for job in jobs],
        work,
        executor=executor,
        log_file=lambda product: product.folder / LOG,
        on_end=on_end,
    )
