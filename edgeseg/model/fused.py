"""The exported graph: camera bytes in, mask bytes out, everything between them inside.

    frame uint8 [N, H, W, C] -> cast -> resize, normalize -> detector
    detector -> anomaly_map float32 [N, S, S], enlarged to S x S where it is smaller
    anomaly_map -> score float32 [N];  anomaly_map, threshold float32 [1] -> mask uint8 [N, H, W]
    image, teacher's features -> input_check float32 [N, K], where the detector has a check

`forward` is written for the exporter: no control flow on data, constant shapes, and Cast first and
last because TensorRT allows no other operation on bytes. The resize is the antialiased filter of
training as two matrix products, because TensorRT's Resize has no antialiasing. Two more products
enlarge the map, because CPU runtimes resize a single channel slowly. Frames of S x S are not
resized.
"""

import torch
from torch import Tensor, nn

from edgeseg.data.images import blur_matrix, resize_matrix
from edgeseg.model.blocks import upsample
from edgeseg.model.detector import Detector

CHANNELS = {"bgr": 3, "rgb": 3, "gray": 1}


class Fused(nn.Module):
    """One frame format and size, fixed at construction; see the module for the tensors.

    top: the score is the mean of this many highest values of the map; 1: the maximum.
    context: sigma of a Gaussian, in pixels of the map; each value becomes the mean of itself and
    its surroundings, which fills regions whose border alone is anomalous and keeps small defects.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        image_size: int,
        frame_size: tuple[int, int],
        frame_format: str,
        top: int,
        context: float = 0.0,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.image_size = image_size
        self.frame_size = frame_size
        self.frame_format = frame_format
        self.top = top
        self.resized = frame_size != (image_size, image_size)
        height, width = frame_size
        self.rows: Tensor
        self.columns: Tensor
        self.enlarged: Tensor
        # Copies: the cached matrices are read-only, which torch warns about.
        rows, columns = resize_matrix(height, image_size), resize_matrix(width, image_size)
        enlarged = resize_matrix(image_size // detector.map_stride, image_size)
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        self.register_buffer("columns", torch.tensor(columns.T.copy()), persistent=False)
        self.register_buffer("enlarged", torch.tensor(enlarged), persistent=False)
        self.blur: Tensor | None
        blur = torch.tensor(blur_matrix(image_size, context)) if context else None
        self.register_buffer("blur", blur, persistent=False)
        self.rgb_of_bgr: Tensor
        self.register_buffer("rgb_of_bgr", torch.tensor([2, 1, 0]), persistent=False)
        self.eval()

    def forward(self, frame: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = self.rgb(frame)
        found = self.detector(self.detector.normalize(image))
        square, scored = found if isinstance(found, tuple) else (found, None)
        side = self.image_size
        if square.shape[-1] != side:
            square = self.enlarged @ square @ self.enlarged.T
        if self.blur is not None:
            square = (square + self.blur @ square @ self.blur.T) / 2
        flat = (square if scored is None else scored).flatten(1)
        score = flat.amax(1) if self.top == 1 else flat.topk(self.top, dim=1).values.mean(dim=1)
        full = upsample(square, self.frame_size) if self.resized else square
        # Scalars: a new tensor would be a copy from the host, which waits and cannot be captured.
        mask = torch.where(full.squeeze(1) > threshold, 255.0, 0.0).to(torch.uint8)
        return mask, score, square.squeeze(1)

    def rgb(self, frame: Tensor) -> Tensor:
        """uint8 [N, H, W, C] -> float32 [N, 3, S, S] in 0..255, resized as in training."""
        image = frame.float().permute(0, 3, 1, 2)
        if self.resized:
            image = self.rows @ (image @ self.columns)
        if self.frame_format == "bgr":
            return image.index_select(1, self.rgb_of_bgr)
        return image.expand(-1, 3, -1, -1)
