"""A Ray cluster: started on this machine or joined, and checked before any job is sent.

Ray listens on every address of the machine, whatever address it is told, unless it believes that
it cannot have other nodes (docs/cluster.md). A cluster that is started here is told so: it listens
on the loopback interface alone, and refuses who has no token.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import edgeseg
from edgeseg.errors import EdgesegError, MissingExtra
from edgeseg.files import cannot_write, shown
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require, versions

REACH_S = 5.0
"""Seconds until an address counts as unreachable; Ray itself tries for minutes."""
JOIN_S = 30.0
"""Seconds until a port that is open must have answered as a Ray cluster of our token."""
PROBE_S = 120.0
"""Seconds until every node must have answered: it unpacks the code and starts a worker first."""
GB = 1e9
PRIVATE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Of a cluster of this machine alone: the first is the name of the switch on Linux too."""
_CURRENT = "ray/ray_current_cluster"  # in the folder for temporary files, from `ray start --head`
_CLIENT = "ray://"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one job reserves, and what its machine must have installed."""

    cores: int
    gpus: float
    memory_gb: float | None
    packages: tuple[str, ...]

    def fit(self, node: "Node") -> int:
        """Return how many such jobs a node runs at a time."""
        shares = [node.cores // self.cores]
        if self.gpus:
            shares.append(int(node.gpus / self.gpus + 1e-9))
        if self.memory_gb:
            shares.append(int(node.memory_gb / self.memory_gb))
        return int(min(shares))

    def text(self) -> str:
        """Return the resources for a message."""
        parts = [f"{self.cores} cores", f"{self.gpus:g} GPUs" if self.gpus else ""]
        parts.append(f"{self.memory_gb:g} GB" if self.memory_gb else "")
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the cluster, as it offers itself."""

    id: str
    name: str
    cores: float
    gpus: float
    memory_gb: float

    def text(self) -> str:
        """Return its resources for a message."""
        return f"{self.name}: {self.cores:g} cores, {self.gpus:g} GPUs, {self.memory_gb:.1f} GB"


@contextmanager
def connected(on: str, code: Sequence[Path] = ()) -> Iterator[ModuleType]:
    """Yield the package ray, connected; a cluster that was started here ends with the block.

    on: `ray` joins the cluster of this machine or of RAY_ADDRESS, or starts one; HOST:PORT and
    ray://HOST:PORT join. code: packages that workers import, beside edgeseg.
    """
    address = _current_address() if on == "ray" else on
    os.environ.update(PRIVATE if address is None else {})  # read when ray is imported
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = require("ray", extra="ray")
    with tempfile.TemporaryDirectory(prefix="edgeseg-code-") as scratch:
        _copy_clean([Path(edgeseg.__file__).parent, *code], Path(scratch))
        options: dict[str, Any] = {
            # With a working directory Ray leaves out the paths of this process, where a node may
            # have another edgeseg.
            "runtime_env": {"working_dir": scratch},
            "log_to_driver": False,
            "configure_logging": False,
            "logging_level": "ERROR",
        }
        if address is None:
            options |= {"address": "local", "include_dashboard": False}
            options |= {"num_cpus": this_machine().threads}
        else:
            _check_reachable(address)
            options |= {"address": address}
        try:
            _init(ray, options, address)
            log.info(f"Ray {ray.__version__}: {'started here' if address is None else address}")
            yield ray
        finally:
            ray.shutdown()


def nodes_of(ray: ModuleType) -> list[Node]:
    """Return the machines that are alive, and run jobs."""
    found = []
    for node in ray.nodes():
        offered = node["Resources"]
        if node["Alive"] and offered.get("CPU", 0) >= 1:
            found.append(
                Node(
                    id=node["NodeID"],
                    name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
                    cores=offered["CPU"],
                    gpus=offered.get("GPU", 0.0),
                    memory_gb=offered.get("memory", 0.0) / GB,
                )
            )
    return found


def needs_of(
    cores: int | None,
    gpus: float | None,
    memory_gb: float | None,
    packages: tuple[str, ...],
    nodes: Sequence[Node],
) -> Needs:
    """Return what a job reserves; by default one GPU with its share of the cores, or one core."""
    largest = max((node.gpus for node in nodes), default=0.0)
    gpus = min(largest, 1.0) if gpus is None else gpus
    if cores is None and gpus:
        with_gpus = [node for node in nodes if node.gpus >= gpus]
        cores = min((int(node.cores * gpus / node.gpus) for node in with_gpus), default=1)
    return Needs(cores=max(cores or 1, 1), gpus=gpus, memory_gb=memory_gb, packages=packages)


def check_fit(nodes: Iterable[Node], needs: Needs) -> None:
    """EdgesegError (`cluster/too-few-resources`) where no node can ever run such a job."""
    found = list(nodes)
    if any(needs.fit(node) for node in found):
        return
    there = "; ".join(node.text() for node in found) or "no node with a core"
    raise EdgesegError(
        f"a job asks for {needs.text()}, and no node of the cluster has that ({there})",
        remedy="lower --cores, --gpus or --memory-gb, or add a node",
        code="cluster/too-few-resources",
    )


def check_nodes(ray: ModuleType, nodes: Sequence[Node], needs: Needs) -> None:
    """Ask every node what it has installed.

    EdgesegError: `cluster/missing-package`, `cluster/silent-node`. Other versions are logged: they
    may give other figures.
    """
    probe = ray.remote(num_cpus=0, max_retries=0)(_probe)
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = {
        probe.options(scheduling_strategy=affinity(node.id, soft=False)).remote(
            needs.packages
        ): node
        for node in nodes
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_S)
    for answer in silent:
        raise _silent(asked[answer], f"no answer within {PROBE_S:.0f} s")
    here = _probe(needs.packages)
    for answer in answered:
        node = asked[answer]
        try:
            there = ray.get(answer)
        except ray.exceptions.RayError as error:
            raise _silent(node, last_line(error)) from error
        for package in needs.packages:
            if package not in there:
                raise EdgesegError(
                    f"{node.name} has no package {package}",
                    remedy="install there what edgeseg has here, or take the node out of the "
                    "cluster: ray stop",
                    code="cluster/missing-package",
                )
        if other := [f"{k} {v}, here {here[k]}" for k, v in there.items() if here[k] != v]:
            log.warning(f"{node.name} has {'; '.join(other)}: its figures may differ")


def last_line(error: Exception) -> str:
    """Return the end of a message of Ray, which names the cause: a traceback of another process."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _probe(packages: Sequence[str]) -> dict[str, str]:
    return versions("numpy", "opencv-python", *packages)


def _silent(node: Node, why: str) -> EdgesegError:
    return EdgesegError(
        f"{node.name} runs no jobs: {why}",
        remedy="look at /tmp/ray/session_latest/logs there, or take the node out: ray stop",
        code="cluster/silent-node",
    )


def _current_address() -> str | None:
    """Return the address of the cluster that this machine belongs to.

    EdgesegError (`cluster/unreachable`): RAY_ADDRESS names another one, and nothing answers there.
    """
    given = os.environ.get("RAY_ADDRESS", "")
    if given == "local":
        return None
    if given not in ("", "auto"):
        if (problem := _reach(given)) is not None:
            raise EdgesegError(
                f"cannot reach a Ray cluster at {shown(given)}, the value of RAY_ADDRESS: "
                f"{problem}",
                remedy="unset RAY_ADDRESS, or set it to HOST:6379 or ray://HOST:10001",
                code="cluster/unreachable",
            )
        return given
    with suppress(OSError):
        found = Path(tempfile.gettempdir(), _CURRENT).read_text().strip()
        if found and _reach(found) is None:
            return found
    return None


def _check_reachable(address: str) -> None:
    if (problem := _reach(address)) is not None:
        raise EdgesegError(
            f"cannot reach a Ray cluster at {shown(address)}: {problem}",
            remedy="start it with `ray start --head`, or correct the address: "
            "--on HOST:6379 from a node of it, --on ray://HOST:10001 from elsewhere",
            code="cluster/unreachable",
        )


def _reach(address: str) -> str | None:
    """Return why nothing answers at an address, or None."""
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not (host and port.isdecimal() and "/" not in host):
        return "no address of the form HOST:PORT"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return str(error)
    return None


def _init(ray: ModuleType, options: dict[str, Any], address: str | None) -> None:
    if address is not None and address.startswith(_CLIENT):
        if find_spec("grpc") is None:
            raise MissingExtra(
                "package grpc is not installed, which ray:// needs beside ray",
                remedy="pip install grpcio",
            )
    elif address is not None:
        _check_answer(address)
    try:
        ray.init(**options)
    except SystemExit as error:  # of Ray, after minutes
        raise _no_ray(address, "no answer") from error
    except (RuntimeError, OSError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        raise _no_ray(address, str(error)) from error


def _check_answer(address: str) -> None:
    """Ask in a process of its own: Ray cannot be interrupted while it waits, for minutes."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=JOIN_S)
    except subprocess.TimeoutExpired as error:
        raise _no_ray(address, f"no answer within {JOIN_S:.0f} s") from error
    if done.returncode:
        problem = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        if "AuthenticationTokenLoader" in done.stderr:  # Ray aborts, with a stack trace
            problem = "no authentication token on this machine"
        raise _no_ray(address, problem)


def _no_ray(address: str | None, problem: str) -> EdgesegError:
    where = "on this machine" if address is None else f"at {shown(address)}"
    text = " ".join(problem.split())
    remedy, code = "read the messages above; `ray stop` ends what is left of a cluster", "ray"
    if "ersion mismatch" in text:
        remedy = "use the Python and the ray of the cluster here: pip install ray==VERSION"
        code = "other-version"
    elif "Failed to connect" in text or "no answer" in text or "uthenticat" in text:
        remedy = "copy ~/.ray/auth_token of the cluster's head to this machine; see that Ray, not "
        remedy += "another program, listens there"
        code = "no-answer"
    elif "raylet" in text or "node" in text:
        remedy = "run this on a node of the cluster, or use --on ray://HOST:10001"
        code = "no-node"
    return EdgesegError(
        f"cannot use Ray {where}: {shown(text[:400])}", remedy=remedy, code=f"cluster/{code}"
    )


def _copy_clean(packages: Iterable[Path], folder: Path) -> None:
    """Copy packages without compiled files and hidden ones: what is sent depends on its source.

    WriteError: a full disk.
    """
    leave = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")
    try:
        for package in packages:
            shutil.copytree(package, folder / package.name, ignore=leave)
    except shutil.Error as error:  # a list of (source, target, reason)
        raise cannot_write(folder, OSError(error.args[0][0][2])) from error
    except OSError as error:
        raise cannot_write(folder, error) from error
