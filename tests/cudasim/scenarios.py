"""What the driver's primitives answer; each scenario runs in a process of its own (run.py)."""

from typing import Any

import numpy as np
from cuda.bindings import driver

from edgeseg.cards import GraphCard
from edgeseg.runtime.base import Slot
from edgeseg.runtime.fake import FakeBackend
from tests.cudasim import simulator
from tests.cudasim.cuda import NON_BLOCKING, Pinned, context, do, stage


def round_trip() -> dict[str, Any]:
    with stage(1000, 1000) as (stream, (up, down), (buffer, _)):
        up.array[:] = np.arange(1000) % 251
        do(driver.cuMemcpyHtoDAsync(buffer.device, up.address, 1000, stream))
        do(driver.cuMemcpyDtoHAsync(down.address, buffer.device, 1000, stream))
        early = int(down.array[0])
        do(driver.cuStreamSynchronize(stream))
        return {"early": early, "same": bool((up.array == down.array).all())}


def infer_in(stream: Any, card: GraphCard, buffers: list[int]) -> int:
    n, h, w, c = card.frame_shape
    return simulator.infer(int(stream), tuple(buffers), (n, h, w, c), card.image_size, 2)  # type: ignore[arg-type]


def recorder(height: int, width: int, side: int, batch: int, graph: bool) -> float:
    """Return the largest difference from FakeBackend over ten frames; masks must be the same."""
    card = GraphCard(
        name="screws", model="destseg", frame_format="bgr", frame_shape=(batch, height, width, 3),
        image_size=side, threshold=0.25, image_threshold=0.5, weights_sha256="0" * 64,
        training={}, versions={},
    )  # fmt: skip
    slot = Slot.on_host(card)
    backend = FakeBackend(card)
    backend.bind(slot)
    worst, random = 0.0, np.random.default_rng(0)
    with context():
        stream = do(driver.cuStreamCreate(NON_BLOCKING))
        pinned = {key: Pinned(array.nbytes) for key, array in slot.tensors().items()}
        addresses = [buffer.device for buffer in pinned.values()]
        ours = {
            key: pinned[key].array.view(array.dtype).reshape(array.shape)
            for key, array in slot.tensors().items()
        }
        launch = None
        if graph:
            do(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode(1)))
            assert infer_in(stream, card, addresses) == 0
            captured = do(driver.cuStreamEndCapture(stream))
            launch = do(driver.cuGraphInstantiate(captured, 0))
            do(driver.cuGraphDestroy(captured))
        simulator.steady()
        for _ in range(10):
            slot.frame[...] = random.integers(0, 256, card.frame_shape)
            ours["frame"][...] = slot.frame
            ours["threshold"][...] = slot.threshold
            if launch:
                do(driver.cuGraphLaunch(launch, stream))
            else:
                assert infer_in(stream, card, addresses) == 0
            backend.run()
            do(driver.cuStreamSynchronize(stream))
            assert (ours["mask"] == slot.mask).all()
            for key in ("score", "anomaly_map"):
                worst = max(worst, float(abs(ours[key] - slot.tensors()[key]).max()))
        if launch:
            do(driver.cuGraphExecDestroy(launch))
        do(driver.cuStreamDestroy(stream))
        for buffer in pinned.values():
            buffer.free()
    return worst
