"""Convert pictures to the bytes that a camera would send, and back, with OpenCV.

The formats are those of `pixel_formats.py`. The exported graph reads the same bytes with the same
formulas; these functions serve image files, previews and cameras that send another format.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frame.pixel_formats import FrameFormat

TO_BGR: dict[FrameFormat, int] = {
    "gray": cv2.COLOR_GRAY2BGR,
    "rgb": cv2.COLOR_RGB2BGR,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "bayer_rggb": cv2.COLOR_BayerBG2BGR,  # OpenCV names it after the second row
}
YUV_OF_RGB = np.array(
    [
        [0.2568, 0.5041, 0.0979, 16],
        [-0.1482, -0.2910, 0.4392, 128],
        [0.4392, -0.3678, -0.0714, 128],
    ],
    np.float32,
)
"""Rows Y, U, V of BT.601, Y from 16 to 235: the inverse of OpenCV's COLOR_YUV2RGB."""


def to_bgr(frame: NDArray[np.uint8], kind: FrameFormat) -> NDArray[np.uint8]:
    """Return a frame [rows, columns, channels] as BGR uint8 [H, W, 3], with OpenCV's formulas."""
    if kind == "bgr":
        return frame
    return np.asarray(cv2.cvtColor(frame, TO_BGR[kind]), np.uint8)


def write_frame(
    picture: NDArray[np.uint8], order: str, frame: NDArray[np.uint8], kind: FrameFormat
) -> None:
    """Write a picture, uint8 [H, W, 3] in `order` (`rgb`, `bgr`), into a frame of its size.

    frame: uint8 [rows, columns, channels], the buffer. U and V are averages of the pixels that
    share them.
    """
    swapped = order == "bgr"
    if kind in ("bgr", "rgb"):
        np.copyto(frame, picture if kind == order else picture[:, :, ::-1])
    elif kind == "gray":
        code = cv2.COLOR_BGR2GRAY if swapped else cv2.COLOR_RGB2GRAY
        cv2.cvtColor(picture, code, dst=frame[:, :, 0])
    elif kind == "bayer_rggb":
        red, blue = (2, 0) if swapped else (0, 2)
        for row, column, channel in ((0, 0, red), (0, 1, 1), (1, 0, 1), (1, 1, blue)):
            frame[row::2, column::2, 0] = picture[row::2, column::2, channel]
    else:
        weights = YUV_OF_RGB[:, [2, 1, 0, 3]] if swapped else YUV_OF_RGB
        yuv = np.asarray(cv2.transform(picture, weights), np.uint8)
        _write_yuv(yuv, frame, kind)


def _write_yuv(yuv: NDArray[np.uint8], frame: NDArray[np.uint8], kind: FrameFormat) -> None:
    height, width = yuv.shape[:2]
    rows = height // 2 if kind == "nv12" else height
    chroma = cv2.resize(yuv[:, :, 1:], (width // 2, rows), interpolation=cv2.INTER_AREA)
    if kind == "nv12":
        frame[:height, :, 0] = yuv[:, :, 0]
        frame[height:, :, 0] = chroma.reshape(rows, width)
        return
    bright = 0 if kind == "yuyv" else 1
    frame[:, :, bright] = yuv[:, :, 0]
    frame[:, :, 1 - bright] = chroma.reshape(rows, width)
