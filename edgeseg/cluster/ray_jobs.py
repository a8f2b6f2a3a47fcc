"""Run jobs on the nodes of a Ray cluster, which share nothing with this machine but the network.

    this machine                        a node
    hash of the data -> order ------->  cache by hash; missing parts ---> object store of Ray,
    folders of the job <- archive <---  job in a folder of its own        or --store

A worker process ends with its job. A job whose worker or node is lost, is stopped, or cannot load
it, is run again, elsewhere, up to RETRIES times. When this process dies, Ray ends its jobs; results
that are here, or in the `--store`, are not computed again.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Generic

from edgeseg.cluster.jobs import AGAIN, Failure, J
from edgeseg.cluster.ray_cluster import GB, Needs, check_fit, last_line, nodes_of
from edgeseg.cluster.send import Packer, archive, receive
from edgeseg.cluster.store import ObjectStore
from edgeseg.cluster.worker import JobResult, Order, carry_out
from edgeseg.errors import EdgesegError, Interrupted
from edgeseg.interrupt import Stop, stop_requests
from edgeseg.log import log

RETRIES = 3
POLL_S = 0.5  # seconds between checks for a stop request
STRANDED_S = 60.0
"""Seconds that jobs may wait for a node that fits them after the last one was lost."""


@dataclass(frozen=True, kw_only=True)
class _SentJob(Generic[J]):
    job: J
    order: Order
    key: str
    """Of the result in the store; empty without one."""
    log_file: Path | None
    tries: int = 1


@dataclass
class Ray:
    """The nodes of a connected cluster (ray_cluster.connected) as an executor."""

    ray: ModuleType
    needs: Needs
    most: int | None = None
    store: ObjectStore | None = None
    packer: Packer = field(default_factory=Packer)
    sent: dict[str, list[Any]] = field(default_factory=dict)
    """Digest of a data set -> references of its parts in Ray's object store."""

    @property
    def processes(self) -> int:
        """How many jobs fit on the nodes that are there now; at most those that were asked for."""
        fit = sum(self.needs.fit(node) for node in nodes_of(self.ray))
        return max(min(fit, self.most or fit), 1)

    @property
    def cores(self) -> int:
        """CPU cores of one job."""
        return self.needs.cores

    def run(
        self,
        jobs: Sequence[J],
        work: Callable[[J], None],
        on_end: Callable[[J, Failure | None], None],
        log_file: Callable[[J], Path] | None,
    ) -> bool:
        """Run all jobs; returns whether a stop request ended this early."""
        with stop_requests() as stop:
            running: dict[Any, _SentJob[J]] = {}
            try:
                self._run(deque(jobs), work, on_end, log_file, running, stop)
            finally:
                for reference in running:  # none is left but after a stop or an error
                    self.ray.cancel(reference, force=True)
        return stop.requested

    def _run(
        self,
        waiting: "deque[J]",
        work: Callable[[J], None],
        on_end: Callable[[J, Failure | None], None],
        log_file: Callable[[J], Path] | None,
        running: dict[Any, _SentJob[J]],
        stop: Stop,
    ) -> None:
        fitting = time.monotonic()
        while (waiting or running) and not stop.requested:
            while waiting and len(running) < self.processes and not stop.requested:
                sent = self._packed(waiting.popleft(), work, log_file)
                if self.store is not None and (result := self.store.result(sent.key)) is not None:
                    log.info(f"{sent.key[:12]}: found in the store")
                    receive(sent.order, result, sent.log_file)
                    on_end(sent.job, result.failure)
                    continue
                running[self._submit(sent)] = sent
            ended, _ = self.ray.wait(list(running), timeout=POLL_S) if running else ([], [])
            for reference in ended:
                sent = running.pop(reference)
                try:
                    failure = self._received(reference, sent)
                except self.ray.exceptions.RayTaskError as error:  # the job's are in its result
                    if sent.tries <= RETRIES:
                        running[self._submit(sent)] = replace(sent, tries=sent.tries + 1)
                        continue
                    failure = Failure(f"its worker cannot run it: {last_line(error)}", AGAIN)
                on_end(sent.job, failure)
            if any(self.needs.fit(node) for node in nodes_of(self.ray)):
                fitting = time.monotonic()
            elif time.monotonic() - fitting > STRANDED_S:
                check_fit(nodes_of(self.ray), self.needs)

    def _packed(
        self, job: J, work: Callable[[J], None], log_file: Callable[[J], Path] | None
    ) -> _SentJob[J]:
        order = self.packer.order(job, work)
        return _SentJob(
            job=job,
            order=order,
            key="" if self.store is None else order.key(),
            log_file=log_file(job) if log_file else None,
        )

    def _submit(self, sent: _SentJob[J]) -> Any:
        inputs = sent.order.inputs
        parts = {content.digest: self._parts(path, content) for path, content in inputs}
        task = self.ray.remote(max_calls=1)(_task).options(
            num_cpus=self.needs.cores,
            num_gpus=self.needs.gpus,
            memory=int((self.needs.memory_gb or 0) * GB) or None,
            max_retries=RETRIES,
            scheduling_strategy="SPREAD",
            name=sent.key[:12] or "edgeseg",
        )
        return task.remote(sent.order, parts, self.store, sent.key)

    def _parts(self, path: Path, content: Any) -> list[Any]:
        """Return the references of a data set's parts; empty where the store has them."""
        if self.store is not None:
            self.store.offer(path, content)
            return []
        if content.digest not in self.sent:
            self.sent[content.digest] = [
                self.ray.put(archive(path, content, number))
                for number in range(len(content.parts()))
            ]
        return self.sent[content.digest]

    def _received(self, reference: Any, sent: _SentJob[J]) -> Failure | None:
        """Unpack a result; RayTaskError, where the worker could not run or end the job, passes."""
        errors = self.ray.exceptions
        try:
            result: JobResult = self.ray.get(reference)
            if self.store is not None and result.files is None and result.failure is None:
                stored = self.store.result(sent.key)
                if stored is None:
                    return Failure("its result is missing or damaged in the store", AGAIN)
                result = stored
            receive(sent.order, result, sent.log_file)
            return result.failure
        except Interrupted:  # Ray raises what a worker does as a RayTaskError of the same class
            raise
        except EdgesegError as error:
            return Failure(error.problem, error.remedy)
        except errors.OutOfMemoryError as error:
            return Failure(
                f"out of memory on its node: {_first(error)}", "--memory-gb N, as needed"
            )
        except (errors.WorkerCrashedError, errors.NodeDiedError) as error:
            return Failure(
                f"its worker or node was lost {RETRIES + 1} times: {_first(error)}", AGAIN
            )
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            return Failure(f"Ray: {type(error).__name__}: {_first(error)}", AGAIN)


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _task(
    order: Order, parts: dict[str, list[Any]], store: ObjectStore | None, key: str
) -> JobResult:
    """Run on the worker: references within `parts` are fetched only where data are missing."""

    def fetch(digest: str, number: int) -> bytes:
        if store is not None:
            return store.part(digest, number)
        import ray

        found: bytes = ray.get(parts[digest][number])
        return found

    result = carry_out(order, fetch)
    try:
        return result if store is None else store.keep(key, result)
    except EdgesegError as error:  # the job is done: its files travel as without a store
        return replace(result, log=result.log + f"{error.problem}\n".encode())
