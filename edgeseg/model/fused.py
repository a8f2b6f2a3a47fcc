"""The exported graph: camera bytes in, mask bytes out, everything between them inside.

    frame uint8, the camera's bytes -> cast -> resize -> (tiles) -> normalize -> detector -> (join)
    detector -> anomaly_map float32 [N, S, S'], enlarged to that where it is smaller
    anomaly_map -> score float32 [N];  anomaly_map, threshold float32 [1] -> mask uint8 [N, H, W]
    image, teacher's features -> input_check float32 [N, K], where the detector has a check

A frame of another aspect ratio than S x S' is letterboxed (geometry.py): the matrices of the resize
repeat its edges, score and mask read the map where the frame is. With tiles S x S' is the grid,
from which tiles of the network's size are cut (tiling.py); without, it is the network's size.

`forward` is written for the exporter: no control flow on data, constant shapes, and Cast first and
last because TensorRT allows no other operation on bytes. The resize is the antialiased filter of
training as products with small matrices, whose cost follows the pixels of the frame
(pixels/resize.py); TensorRT's Resize has no antialiasing. Frames of S x S' are not resized. The map
is enlarged in the same way (pixels/mask.py).
"""

from math import prod

import torch
from torch import Tensor, nn

from edgeseg.data.formats.planes import planes_of
from edgeseg.data.images import blur_matrix, resize_matrix
from edgeseg.frame.geometry import Aspect, Size, fit
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.frame.roi import Roi
from edgeseg.frame.tiles import Tiles
from edgeseg.model.detector import Detector
from edgeseg.model.input_check import InputCheck
from edgeseg.model.pixels.mask import FrameMask
from edgeseg.model.pixels.resize import FrameResize
from edgeseg.model.roi.inspected import Inspected
from edgeseg.model.tiles.tiling import Found, Tiling


class Fused(nn.Module):
    """One frame format and size, fixed at construction; see the module for the tensors.

    top: the score is the mean of this many highest values of the map; 1: the maximum.
    context: sigma of a Gaussian, in pixels of the map; each value becomes the mean of itself and
    its surroundings, which fills regions whose border alone is anomalous and keeps small defects.
    roi: what is inspected; map and mask are 0 outside of it, and the score is that of the inside.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        network_size: Size,
        frame_size: Size,
        frame_format: FrameFormat,
        aspect: Aspect,
        top: int,
        context: float = 0.0,
        tiles: Tiles | None = None,
        roi: Roi | None = None,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.tiling = Tiling(tiles, network_size) if tiles else None
        self.network_size = network_size
        self.map_size = tiles.grid(network_size) if tiles else network_size
        self.frame_size = frame_size
        self.frame_format = frame_format
        self.content = fit(frame_size, self.map_size, aspect)
        self.inspected: Inspected | None = None
        if roi is not None:
            self.inspected = Inspected(
                roi,
                frame_size=frame_size,
                map_size=self.map_size,
                content=self.content,
                aspect=aspect,
            )
        pixels = self.inspected.count if self.inspected else prod(self.content.size)
        self.top = min(top, pixels)
        self.context = context
        plain = frame_size == self.map_size and frame_format in ("rgb", "bgr", "gray")
        planes = planes_of(frame_format, frame_size, self.map_size, self.content)
        self.resize = None if plain else FrameResize(planes)
        self.mask = FrameMask(self.content.size, frame_size)
        for axis, tile, side, inside in (
            ("rows", network_size[0], self.map_size[0], self.content.rows),
            ("columns", network_size[1], self.map_size[1], self.content.columns),
        ):
            enlarged = torch.tensor(resize_matrix(tile // detector.map_stride, tile))
            self.register_buffer(f"enlarged_{axis}", enlarged, persistent=False)
            blur = torch.eye(side)  # outside of the content nothing is averaged
            if context:
                blur[inside, inside] = torch.tensor(
                    blur_matrix(inside.stop - inside.start, context)
                )
            self.register_buffer(f"blur_{axis}", blur if context else None, persistent=False)
        self.rgb_of_bgr: Tensor
        self.register_buffer("rgb_of_bgr", torch.tensor([2, 1, 0]), persistent=False)
        self.eval()

    def forward(self, frame: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        image = self.rgb(frame)
        tiling = self.tiling
        whole, scored, known = tiling(image, self.found) if tiling else self.found(image)
        checked = () if self.check is None else (self.check(image, known),)
        if self.inspected:
            whole = self.inspected(whole)
            scored = None if scored is None else self.inspected(scored)
        if self.context:
            whole = (whole + self._on_both_axes("blur", whole)) / 2
            whole = self.inspected(whole) if self.inspected else whole
        inside = self._cut(whole)
        flat = (inside if scored is None else self._cut(scored)).flatten(1)
        score = flat.amax(1) if self.top == 1 else flat.topk(self.top, dim=1).values.mean(dim=1)
        shown = self._cut(self.inspected.continued(whole)) if self.inspected else inside
        mask = self.mask(shown, threshold, self.inspected.on_frame if self.inspected else None)
        return mask, score, whole.squeeze(1), *checked

    def found(self, image: Tensor) -> Found:
        """Return what the network says of images or tiles; the map at their size."""
        x = self.detector.normalize(image)
        known = None if self.check is None else self.detector.teacher(x)
        found = self.detector(x) if known is None else self.detector(x, known)
        whole, scored = found if isinstance(found, tuple) else (found, None)
        if whole.shape[2:] != self.network_size:
            whole = self._on_both_axes("enlarged", whole)
        return whole, scored, known

    def _on_both_axes(self, name: str, x: Tensor) -> Tensor:
        """Multiply with a matrix for the rows and one for the columns."""
        rows, columns = (self.get_buffer(f"{name}_{axis}") for axis in ("rows", "columns"))
        return rows @ x @ columns.T

    @property
    def check(self) -> InputCheck | None:
        """The input check of the detector."""
        check = getattr(self.detector, "check", None)
        return check if isinstance(check, InputCheck) else None

    def _cut(self, x: Tensor) -> Tensor:
        """Return the content of a map."""
        if self.content.size == self.map_size:
            return x
        return x[:, :, self.content.rows, self.content.columns]

    def rgb(self, frame: Tensor) -> Tensor:
        """uint8 frames -> float32 [N, 3, S, S'] in 0..255, resized as in training."""
        if self.resize is not None:
            resized: Tensor = self.resize(frame)
            return resized
        image = frame.float().permute(0, 3, 1, 2)
        if self.frame_format == "bgr":
            return image.index_select(1, self.rgb_of_bgr)
        return image.expand(-1, 3, -1, -1)
