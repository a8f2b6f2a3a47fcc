"""What of a map and of a mask is inspected: the ROIs as constants of the graph."""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from edgeseg.data.roi.read import check_resolved
from edgeseg.frame.geometry import Aspect, Box, Size, fit
from edgeseg.frame.roi import Roi


class Inspected(nn.Module):
    """Sets a map to 0 where the picture is not inspected; a mask gets 0 where `on_frame` is False.

    A map is at least 0, so its highest values are those of the ROIs. DataError (`data/roi-empty`)
    where a ROI has no pixel of the map.
    """

    def __init__(
        self, roi: Roi, *, frame_size: Size, map_size: Size, content: Box, aspect: Aspect
    ) -> None:
        super().__init__()
        place = fit(roi.picture, frame_size, aspect)
        cells = place.within(frame_size, content)
        on_map = roi.inside(map_size, cells)
        check_resolved(roi, cells.size)
        self.count = int(on_map.sum())
        """Pixels of the map that are inspected."""
        self.on_map: Tensor
        self.on_frame: Tensor
        self.register_buffer("on_map", torch.from_numpy(on_map)[None, None], False)
        on_frame = torch.from_numpy(roi.inside(frame_size, place))[None]
        self.register_buffer("on_frame", on_frame, False)

    def forward(self, anomaly_map: Tensor) -> Tensor:
        """[N, 1, S, S'] -> the same, 0 outside."""
        return torch.where(self.on_map, anomaly_map, 0.0)

    def continued(self, inside: Tensor) -> Tensor:
        """Continue a map that is 0 outside by a pixel, with the highest value beside it.

        Enlarging it would else fade its border; so no pixel inside gets a value from outside, and
        none above the highest inside.
        """
        return torch.where(self.on_map, inside, max_pool2d(inside, 3, stride=1, padding=1))
