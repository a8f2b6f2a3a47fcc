"""What TrtBackend shares, leaves out and survives; each scenario in a process of its own."""

from pathlib import Path
from tempfile import TemporaryDirectory

from edgeseg.config import GpuConfig
from edgeseg.cuda import driver
from edgeseg.runtime.tensorrt_backend import TrtBackend
from tests.kit import fake_trt
from tests.kit.logs import logged
from tests.runtime.tensorrt_scenarios import Judge, card_of, opened, stream


def survived_errors(**options):
    fake_trt.refusals.add("survived")
    return stream(20, **options)


def waits_through_ctypes(**options):
    """Stream with a binding whose own waits, which may keep the GIL, are never called."""
    for name in ("cuEventSynchronize", "cuStreamSynchronize"):
        setattr(driver._import_driver(), name, None)
    return stream(20, **options)


def without_map(**options):
    """Run without the copy of the anomaly map; return whether everything else is right."""
    with opened(**options) as backend:
        judge, slot = Judge(backend), backend.new_slot()
        backend.bind(slot)
        backend.copies_map = False
        for _ in range(10):
            judge.fill(slot)
            slot.anomaly_map[...] = 7
            backend.run()
            stale = bool((slot.anomaly_map == 7).all())
            backend.fetch_map()
            judge.check(slot)
        return stale


def beside_a_frame(**options):
    """Open another request while a frame is computed: both use the same activation memory."""
    with opened(**options) as backend:
        judge, slot = Judge(backend), backend.new_slot()
        backend.bind(slot)
        for _ in range(5):
            judge.fill(slot)
            backend.start()
            other = backend.second()
            backend.finish()
            judge.check(slot)
            other.close()
        return judge.checked


def kernels(first=""):
    """Open an engine of TensorRT-RTX three times; return the caches that it began with."""
    fake_trt.install("1.7.1.116", rtx=True)
    card = card_of("tensorrt-rtx", "1.7.1.116")
    with logged() as said, TemporaryDirectory() as folder:
        path = Path(folder) / card.file
        kept = path.with_suffix(".kernels")
        path.write_bytes(fake_trt.plan(card))
        if first == "folder":
            kept.mkdir()
        elif first:
            kept.write_bytes(first.encode())
        began = []
        for _ in range(3):
            with TrtBackend.open(path, card, gpu=GpuConfig(io="copy")) as backend:
                backend.run()
                began.append(fake_trt.caches[-1].data.decode())
        stored = kept.read_text() if kept.is_file() else None
        return {"began": began, "stored": stored, "said": said}
