"""The support matrix as three tables: TensorRT releases, GPUs and JetPacks."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edgeseg.machine.support import GPUS, JETPACKS, Gpu, Release, listed

HEAD = (
    "A release between two of these follows the spans of its GPU; a newer one is treated like the\n"
    "newest. "
    "From NVIDIA's documents and sources. TensorRT-RTX 1.7 was run, building; TensorRT never."
)
HALF_SCALES = {"none": "none", "equal": "of the tensor's type", "any": "any"}


class MatrixReport:
    """What `edgeseg doctor --matrix` prints."""

    def summary(self) -> str:
        """Return the tables, one below the other."""
        tables = (_releases(), _gpus(), _jetpacks())
        return "\n\n".join([HEAD, *("\n".join(_columns(rows)) for rows in tables)])

    def to_json(self) -> dict[str, Any]:
        """Return the same as data."""
        return {
            "releases": [_release(release) for release in listed()],
            "gpus": [{**asdict(gpu), "spans": _spans(gpu), "rtx": _rtx(gpu)} for gpu in GPUS],
            "jetpacks": [asdict(pack) for pack in JETPACKS],
        }


def _release(release: Release) -> dict[str, Any]:
    return {
        "release": str(release),
        "types": _types(release),
        "opsets": list(release.opsets),
        "half_scales": release.half_scales,
        "gpus": [gpu.capability for gpu in release.gpus],
    }


def _types(release: Release) -> str:
    if not release.weak:
        return "the graph's"
    return "the graph's, or flags" if release.strong else "flags"


def _releases() -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("RELEASE", "TYPES", "OPSETS", "FP16 SCALES", "GPUS")]
    for release in listed():
        opsets = "{} to {}".format(*release.opsets)
        gpus = " ".join(gpu.capability for gpu in release.gpus)
        rows.append((str(release), _types(release), opsets, HALF_SCALES[release.half_scales], gpus))
    return rows


def _gpus() -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("GPU", "", "TENSORRT", "RTX", "INT8", "")]
    for gpu in GPUS:
        rtx, int8 = ("yes" if fact else "no" for fact in (_rtx(gpu), gpu.int8 and gpu.spans))
        rows.append((gpu.capability, gpu.name, ", ".join(_spans(gpu)), rtx, int8, gpu.note))
    return rows


def _spans(gpu: Gpu) -> list[str]:
    return [str(span) for span in gpu.spans]


def _rtx(gpu: Gpu) -> bool:
    return any(span.rtx for span in gpu.spans)


def _jetpacks() -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("JETPACK", "L4T", "CUDA", "TENSORRT", "PYTHON", "BOARDS")]
    for pack in JETPACKS:
        starts = ", ".join(f"{start.rstrip('.')}.x" for start in pack.l4t)
        tensorrt = ", upgrade to ".join(pack.tensorrt)
        boards = ", ".join(pack.boards)
        rows.append((pack.name, starts, pack.cuda, tensorrt, pack.python, boards))
    return rows


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
