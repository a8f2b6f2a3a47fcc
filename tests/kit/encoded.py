"""Encoded images with known pixels, whole and damaged."""

import io
import struct
import zlib

import numpy as np
from PIL import Image as Pillow


def smooth(height=48, width=64):
    """A picture of gentle slopes, RGB, which JPEG keeps within a few levels."""
    rows, columns = np.mgrid[:height, :width]
    picture = np.dstack([rows * 3, columns * 2, 255 - rows - columns])
    return picture.clip(0, 255).astype(np.uint8)


def noise(height=48, width=64):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def encode(pixels, kind, mode=None, **options):
    """Encode with Pillow; kind: PNG, JPEG, TIFF, BMP and others of its formats."""
    picture, file = Pillow.fromarray(pixels), io.BytesIO()
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def saved(path, *arguments, **options):
    """Encode into a file whose suffix tells the kind."""
    kinds = Pillow.registered_extensions()
    path.write_bytes(encode(*arguments[:1], kinds[path.suffix.lower()], *arguments[1:], **options))
    return path


def turn_of(orientation):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return exif


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_zeros(height, width):
    """A whole PNG, gray; a row of zeros costs almost nothing."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def without_rows(jpeg):
    """The first half of a JPEG, closed by an end marker as some cameras do."""
    return jpeg[: len(jpeg) // 2] + b"\xff\xd9"


def overwritten(data, place, new):
    return data[:place] + new + data[place + len(new) :]
