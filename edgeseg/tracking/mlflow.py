"""Send a training to an MLflow server over HTTP, with mlflow-skinny, in batches.

Limits of a request, from the REST API's documentation: 1000 metrics, 100 parameters.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeseg import __version__
from edgeseg.files import write_atomic
from edgeseg.packages.extras import require
from edgeseg.tracking.tracker import Beginning, NotRecorded, Scalars, Tracked

EXPERIMENT = "edgeseg"
RUN_IDS = "tracking.json"
"""Address -> id of the MLflow run, in a run directory: a resumed training goes on in it."""
METRICS, PARAMETERS = 1000, 100
LONGEST_VALUE = 500  # characters of a parameter; servers before 2.8 take no more
# Read by the client at each request. By itself it tries again seven times within minutes, sends its
# POST as a GET to where it is redirected, and prints the address of the run.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_REFUSED = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST"}
_ids = threading.Lock()  # of the file RUN_IDS, which the threads of several servers write


class Mlflow:
    """A run of the experiment `edgeseg` on a server. address: http://HOST:PORT."""

    def __init__(self, address: str, shown: str, run: Path) -> None:
        self.run, self._shown = run, shown
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        mlflow = require("mlflow", extra="mlflow")
        self._entities = require("mlflow.entities", extra="mlflow")
        self._failure = require("mlflow.exceptions", extra="mlflow").MlflowException
        self._client: Any = mlflow.MlflowClient(tracking_uri=address)
        self._run_id = ""
        self._told = False
        """Whether the server has the settings."""
        self._last: dict[str, tuple[int, float]] = {}
        """Name -> the newest step and value that the server has acknowledged."""

    def open(self, beginning: Beginning) -> None:
        """Begin a run, or go on in that of the training that is resumed."""
        if not self._run_id:
            found = self._known() if beginning.step else None
            self._run_id = found or self._new(beginning.name)
        if not self._told:
            self._tell({k: v[:LONGEST_VALUE] for k, v in beginning.settings.items()})
            self._told = True

    def send(self, events: Sequence[Tracked]) -> None:
        """Send values in batches, and pictures one by one."""
        metrics = [
            (event, name, value)
            for event in events
            if isinstance(event, Scalars)
            for name, value in event.values.items()
        ]
        try:
            for first in range(0, len(metrics), METRICS):
                part = metrics[first : first + METRICS]
                batch = [
                    self._entities.Metric(name, value, int(1000 * event.time), event.step)
                    for event, name, value in part
                ]
                self._client.log_batch(self._run_id, metrics=batch)
                self._last |= {name: (event.step, value) for event, name, value in part}
            for event in events:
                if not isinstance(event, Scalars):
                    self._client.log_image(
                        self._run_id,
                        event.pixels,
                        key=event.name,
                        step=event.step,
                        timestamp=int(1000 * event.time),
                        synchronous=True,
                    )
        except self._failure as error:
            if error.error_code in _REFUSED:
                raise NotRecorded(str(error)) from error
            raise

    def close(self, complete: bool) -> None:
        """Ask for what was acknowledged, and end the run as FINISHED or KILLED."""
        kept = self._client.get_run(self._run_id).data.metrics
        if missing := [n for n, (_, value) in self._last.items() if not _same(kept.get(n), value)]:
            raise NotRecorded(
                f"the server does not return what it acknowledged: {', '.join(missing[:3])}"
            )
        self._client.set_terminated(self._run_id, "FINISHED" if complete else "KILLED")

    def _tell(self, settings: Mapping[str, str]) -> None:
        """Record the settings; what differs after a resume is a tag, as no parameter changes."""
        before = self._client.get_run(self._run_id).data.params
        new = [self._entities.Param(k, v) for k, v in settings.items() if k not in before]
        changed = [
            self._entities.RunTag(f"resumed with {name}", value)
            for name, value in settings.items()
            if before.get(name, value) != value
        ]
        for first in range(0, len(new), PARAMETERS):
            self._client.log_batch(self._run_id, params=new[first : first + PARAMETERS])
        if changed:
            self._client.log_batch(self._run_id, tags=changed[:PARAMETERS])

    def _new(self, name: str) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            experiment = found.experiment_id
        else:
            try:
                experiment = self._client.create_experiment(EXPERIMENT)
            except self._failure:  # another training was faster
                experiment = self._client.get_experiment_by_name(EXPERIMENT).experiment_id
        tags = {"edgeseg": __version__}
        run_id = self._client.create_run(experiment, run_name=name, tags=tags).info.run_id
        if not run_id:
            raise ValueError("the server gave the run no id: it is no MLflow server")
        if self.run.is_dir():  # else it was published meanwhile, and is not resumed
            with _ids:
                ids = self._read_ids() | {self._shown: str(run_id)}
                write_atomic(self.run / RUN_IDS, json.dumps(ids).encode())
        return str(run_id)

    def _known(self) -> str | None:
        """Return the id of the run to go on in; None where the server has no such run any more."""
        run_id = self._read_ids().get(self._shown)
        if run_id is None:
            return None
        try:
            self._client.update_run(run_id, status="RUNNING")
        except self._failure as error:
            if error.error_code in _REFUSED:
                return None
            raise  # a server that is away has the run when it returns
        return run_id

    def _read_ids(self) -> dict[str, str]:
        with suppress(OSError, ValueError, AttributeError):
            found = json.loads((self.run / RUN_IDS).read_text(encoding="utf-8"))
            return {str(address): str(run_id) for address, run_id in found.items()}
        return {}


def _same(found: float | None, sent: float) -> bool:
    return found is not None and (abs(found - sent) <= 1e-6 * max(abs(sent), 1) or sent != sent)
