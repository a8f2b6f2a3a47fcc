"""Read the frames of a cv2.VideoCapture as they come: JPEGs, raw bytes of a format, or BGR."""

import cv2
import numpy as np

from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat, picture_size
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.deliver import deliver
from edgeseg.stream.source.mjpeg import BrokenFrame, decode_jpeg_frame

VIDEO_PATH = "video, decoded by FFmpeg, converted to bgr and copied by OpenCV"
VIDEO_WRITES = 3
CAMERA_WRITES = 2  # OpenCV's conversion or copy, and the copy that it hands over
PIPELINE_WRITES = 1  # OpenCV's copy of what a GStreamer pipeline delivers
GUESSES: dict[int, FrameFormat] = {1: "gray", 3: "bgr"}  # by the number of channels


class UnknownFormat(Exception):
    """The format of a frame cannot be told; str() is its shape."""


class Retriever:
    """Brings grabbed frames into the buffers of the stream."""

    def __init__(
        self,
        capture: cv2.VideoCapture,
        kind: FrameFormat | None = "bgr",
        *,
        writes: int,
        jpeg_size: tuple[int, int] | None = None,
    ) -> None:
        """kind: the format of frames that are not JPEGs, None if only the frames tell.

        writes: of the CPU, for one of those; jpeg_size: of a file's JPEGs.
        """
        self._capture, self._jpeg_size = capture, jpeg_size
        self._known, self.kind = kind is not None, kind or "bgr"
        self._writes = writes
        self._jpegs = False
        self._shape: tuple[int, ...] = (1, 1, PIXEL_FORMATS[self.kind].channels)
        self._stage: Image = np.zeros(self._shape, np.uint8)
        """Holds what is converted or decoded."""

    def read_into(self, frame: Frame) -> None:
        """Read the grabbed frame into `frame.image`; BrokenFrame if it is not a whole image."""
        staged = self._jpegs or self._converted(frame)
        found = self.raw(self._stage if staged else frame.buffer(self.kind, self._shape))
        self._jpegs = found.ndim == 2 and len(found) == 1
        if self._jpegs:
            decode_jpeg_frame(found.tobytes(), frame, self._jpeg_size)
            return
        pixels = self._checked(found)
        self._shape = pixels.shape
        if self._converted(frame):
            self._stage = pixels
            deliver(frame, pixels, self.kind, writes=self._writes)
            return
        frame.writes = self._writes
        if not np.may_share_memory(pixels, buffer := frame.buffer(self.kind, self._shape)):
            np.copyto(buffer, pixels)  # the first frame, or another size

    def jpeg(self) -> bytes:
        """Return the grabbed JPEG; BrokenFrame if it is none."""
        found = self.raw(self._stage)
        if found.ndim != 2 or len(found) != 1:
            raise BrokenFrame(f"no JPEG, but {found.dtype} {list(found.shape)}")
        return found.tobytes()

    def raw(self, buffer: Image) -> Image:
        """Return what OpenCV delivers, in `buffer` if it fits."""
        try:
            done, image = self._capture.retrieve(buffer)
        except cv2.error as error:
            raise BrokenFrame("cannot be decoded") from error
        if not done or image is None:
            raise BrokenFrame("cannot be decoded")
        if image.dtype != np.uint8:
            raise BrokenFrame(f"no {self.kind} image, but {image.dtype} {list(image.shape)}")
        return image  # type: ignore[return-value]  # the stubs have no pixel type

    def _converted(self, frame: Frame) -> bool:
        """Whether frames have the slot's size, and another format."""
        slot, kind = frame.slot_image, frame.slot_format
        if slot is None or kind == self.kind:
            return False
        return picture_size(self.kind, self._shape) == picture_size(kind, slot.shape)

    def _checked(self, image: Image) -> Image:
        """Return an image as [rows, columns, channels]; BrokenFrame if it is of another format.

        UnknownFormat: nobody has told the format, and the shape does not tell it.
        """
        channels = image.shape[2] if image.ndim == 3 else 1
        if not self._known:
            whole = len(image) == int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
            if channels not in GUESSES or not whole:
                raise UnknownFormat(f"{image.dtype} {list(image.shape)}")
            self._known, self.kind = True, GUESSES[channels]
        form = PIXEL_FORMATS[self.kind]
        pairs = form.planes == 2 or form.channels == 2  # OpenCV converts no half pair
        odd = (form.planes == 2 and len(image) % 3 != 0) or (pairs and image.shape[1] % 2 != 0)
        if channels != form.channels or odd:
            raise BrokenFrame(f"no {self.kind} image, but {image.dtype} {list(image.shape)}")
        return image.reshape(*image.shape[:2], channels)
