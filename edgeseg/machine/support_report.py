"""The support matrix as tables of releases, GPUs and JetPacks."""

from dataclasses import asdict
from typing import Any

from edgeseg.machine.support import GPUS, JETPACKS, GpuGeneration, Release, listed
from edgeseg.text import table

HEAD = """\
A release between two of these follows from the ranges of its GPU; a newer one is treated like the
newest. Sources: NVIDIA's documents. TensorRT-RTX 1.7 was tested, building only; TensorRT not."""
FP16_SCALES = {"none": "none", "equal": "of the tensor's type", "any": "any"}


class MatrixReport:
    """The output of `edgeseg doctor --matrix`."""

    def summary(self) -> str:
        """Return the tables as text."""
        tables = (_releases(), _gpus(), _jetpacks())
        return "\n\n".join([HEAD, *("\n".join(table(t, "<" * len(t[0]))) for t in tables)])

    def to_json(self) -> dict[str, Any]:
        """Return the tables as data."""
        return {
            "releases": [
                {
                    "release": str(release),
                    "types": _types(release),
                    "opsets": list(release.opsets),
                    "fp16_scales": release.fp16_scales,
                    "gpus": [gpu.capability for gpu in release.gpus],
                }
                for release in listed()
            ],
            "gpus": [{**asdict(gpu), "spans": _spans(gpu), "rtx": _rtx(gpu)} for gpu in GPUS],
            "jetpacks": [asdict(pack) for pack in JETPACKS],
        }


def _types(release: Release) -> str:
    """Say what selects the types of layers: the graph (strong typing) or builder flags."""
    if not release.weak:
        return "graph"
    return "graph or flags" if release.strong else "flags"


def _releases() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("RELEASE", "TYPES FROM", "OPSETS", "FP16 SCALES", "GPUS")]
    for release in listed():
        opsets = "{} to {}".format(*release.opsets)
        gpus = " ".join(gpu.capability for gpu in release.gpus)
        rows.append((str(release), _types(release), opsets, FP16_SCALES[release.fp16_scales], gpus))
    return rows


def _gpus() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("GPU", "", "TENSORRT", "RTX", "INT8", "")]
    for gpu in GPUS:
        rtx, int8 = ("yes" if fact else "no" for fact in (_rtx(gpu), gpu.int8 and gpu.spans))
        rows.append((gpu.capability, gpu.name, ", ".join(_spans(gpu)), rtx, int8, gpu.note))
    return rows


def _spans(gpu: GpuGeneration) -> list[str]:
    return [str(span) for span in gpu.spans]


def _rtx(gpu: GpuGeneration) -> bool:
    return any(span.rtx for span in gpu.spans)


def _jetpacks() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("JETPACK", "L4T", "CUDA", "TENSORRT", "PYTHON", "BOARDS")]
    for pack in JETPACKS:
        prefixes = ", ".join(f"{start.rstrip('.')}.x" for start in pack.l4t)
        tensorrt = ", upgrade to ".join(pack.tensorrt)
        boards = ", ".join(pack.boards)
        rows.append((pack.name, prefixes, pack.cuda, tensorrt, pack.python, boards))
    return rows
