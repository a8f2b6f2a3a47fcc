"""What TrtBackend shares, leaves out and survives; each scenario in a process of its own."""

from edgeseg.cuda import driver
from tests.kit import fake_trt
from tests.runtime.tensorrt_scenarios import Judge, opened, stream


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
            if stale:
                judge.expected.frame[...], judge.expected.threshold[...] = judge.frames[id(slot)]
                judge.fake.run()
                slot.anomaly_map[...] = judge.expected.anomaly_map
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
