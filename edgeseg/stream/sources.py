"""From what a user types to a source of frames.

0, 1                   a camera by its number
/dev/video0            a camera by its device; so does v4l2:///dev/video0
clip.mp4               a video file
photos/                the images in and below a folder, in the order of their names
part.png               one image
test://640x480@30      a software camera: width x height @ frames per second
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from edgeseg.config import parse_size
from edgeseg.data.images import SUFFIXES, read_image, walk_images
from edgeseg.errors import ConfigError, SourceError
from edgeseg.stream.cameras import Camera, OpenCVDevice, SoftwareCamera, quiet
from edgeseg.stream.ring import Frame, Source

SUPPORTED = (
    "a camera (0, /dev/video0, v4l2:///dev/video0), a video file, an image, a folder of images, "
    "test://640x480@30"
)
FOLDER_FPS = 5.0  # of a video made from single images
HONEST_SHARE = 0.98  # containers estimate their number of frames; a damaged file misses more


def open_source(
    address: str, *, size: tuple[int, int], attempts: int, say: Callable[[str], None]
) -> Source:
    """Open what `address` names; SourceError when it is not there or not supported.

    size: (height, width) that a camera is asked for; attempts: how often a lost camera is tried.
    """
    if address.isdecimal():
        return _camera(int(address), size, attempts, say)
    scheme, separator, rest = address.partition("://")
    if not separator:
        return _from_path(Path(address), size, attempts, say)
    if scheme == "test":
        return _software_camera(rest)
    if scheme == "v4l2":
        return _camera(rest, size, attempts, say)
    raise SourceError(
        f"'{address}' is not supported as a source; supported are {SUPPORTED}.",
        remedy="edgeseg stream --camera 0",
    )


class VideoFile(Source):
    """Every frame of a video."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        quiet()
        self._path, self._say = path, say
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(
                f"{path} cannot be read as a video: it is damaged, cut off, or of a format that "
                "this OpenCV does not know.",
                remedy=f"ffmpeg -i '{path}' -c:v mpeg4 -q:v 2 repaired.mp4",
            )
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._count = 0
        super().__init__(str(path), self._capture.get(cv2.CAP_PROP_FPS) or FOLDER_FPS)

    def read_into(self, frame: Frame) -> bool:
        done, image = self._capture.read(frame.image)
        if done:
            frame.image = image  # type: ignore[assignment]  # the stubs know no type of pixel
            self._count += 1
        elif self._count < HONEST_SHARE * self._promised:
            self._say(
                f"{self._path} ended after {self._count} frames; its header promises "
                f"{self._promised:.0f}: the rest cannot be decoded"
            )
        return done

    def close(self) -> None:
        self._capture.release()


class ImageFiles(Source):
    """Images one after the other; sizes may be mixed."""

    def __init__(self, name: str, paths: list[Path]) -> None:
        super().__init__(name, FOLDER_FPS)
        self._paths = iter(paths)

    def read_into(self, frame: Frame) -> bool:
        path = next(self._paths, None)
        if path is None:
            return False
        image = read_image(path)
        if frame.image.shape != image.shape:
            frame.image = np.empty_like(image)
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR, dst=frame.image)
        frame.label = str(path)
        return True


def _from_path(
    path: Path, size: tuple[int, int], attempts: int, say: Callable[[str], None]
) -> Source:
    if path.is_char_device():
        return _camera(str(path), size, attempts, say)
    if path.is_dir():
        paths = walk_images(path)
        if not paths:
            raise SourceError(
                f"{path} holds no image.", remedy="put PNG, JPEG, BMP or TIFF files there"
            )
        return ImageFiles(str(path), paths)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return ImageFiles(str(path), [path])
    if path.is_file():
        return VideoFile(path, say)
    raise SourceError(
        f"There is no file, folder or camera '{path}'; supported are {SUPPORTED}.",
        remedy="check the path, or: edgeseg stream --camera 0",
    )


def _camera(
    address: int | str, size: tuple[int, int], attempts: int, say: Callable[[str], None]
) -> Camera:
    return Camera(
        f"camera {address}", partial(OpenCVDevice, address, size), attempts=attempts, say=say
    )


def _software_camera(text: str) -> SoftwareCamera:
    size, _, rate = text.partition("@")
    try:
        height, width = parse_size(size, "test://")
        fps = float(rate or 30)
    except (ConfigError, ValueError) as error:
        raise SourceError(
            f"'test://{text}' is no software camera; test://WIDTHxHEIGHT@FPS was expected.",
            remedy="--source test://640x480@30",
        ) from error
    if not 0 < fps <= 10_000:
        raise SourceError(
            f"'test://{text}' asks for {fps:g} frames per second; up to 10000 can be had.",
            remedy="--source test://640x480@30",
        )
    return SoftwareCamera(height, width, fps)
