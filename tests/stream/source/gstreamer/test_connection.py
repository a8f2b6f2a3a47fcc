"""Pipelines by PyGObject: of a camera the newest frame wins, of a file none is lost."""

import threading
import time

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.gstreamer import connection as connections
from edgeseg.stream.source.gstreamer import pipeline as pipelines
from edgeseg.stream.source.gstreamer.connection import PipelineFile
from edgeseg.stream.source.gstreamer.text import APPSINK
from edgeseg.stream.source.open import open_source
from edgeseg.verdict.verdict import PARTIAL_FRAME
from tests.kit.encoded import encode, smooth
from tests.kit.errors import fails
from tests.kit.stations import until

SIZE = (48, 64)
SMALL = "video/x-raw,width=64,height=48,framerate=100/1"
BYTES = 48 * 64 * 3


def opened(text, graph="bgr", attempts=0):
    return open_source(f"gst://{text}", size=SIZE, attempts=attempts, frame_format=graph)


def new(graph="bgr"):
    return Frame(slot_image=np.zeros(frame_shape(graph, *SIZE), np.uint8), slot_format=graph)


@pytest.fixture
def raw(tmp_path):
    """Write frames of raw BGR, one file each; return the pipeline that reads them."""

    def write(frames, caps="video/x-raw,format=BGR,width=64,height=48,framerate=10/1"):
        for number, data in enumerate(frames):
            (tmp_path / f"{number:03}.raw").write_bytes(data)
        where = f'multifilesrc location="{tmp_path}/%03d.raw" stop-index={len(frames) - 1}'
        return f'{where} caps="{caps}"'

    return write


def test_of_a_file_no_frame_is_lost_and_it_ends(pygobject, said):
    text = f"videotestsrc pattern=blue num-buffers=20 ! {SMALL}"
    with opened(text) as source:
        assert (type(source), source.live, source.fps) == (PipelineFile, False, 100.0)
        assert source.path.startswith("bgr, copied out of the appsink of the pipeline")
        frames = []
        while source.read_into(frame := new()):
            frames.append(frame)
            if len(frames) == 3:
                time.sleep(0.2)  # a slow reader
        assert not source.read_into(new())
    assert [frame.camera_ns for frame in frames] == [n * 10_000_000 for n in range(20)]
    for frame in frames:
        assert frame.image is frame.slot_image and (frame.image == (255, 0, 0)).all()
        assert (frame.writes, frame.fault) == (1, "")
    version = pygobject.version
    assert said == [
        f"gst://{text}: delivers 64x48, 100 frames/s (GStreamer {version} by PyGObject)"
    ]


def test_of_a_camera_the_newest_frame_wins_and_skipped_ones_are_counted(pygobject):
    with opened(f"videotestsrc is-live=true ! {SMALL}") as source:
        stamps = []
        for _ in range(4):
            frame = new()
            assert source.read_into(frame) and not frame.fault
            stamps.append((frame.camera_ns, source.skipped))
            time.sleep(0.1)
        assert source.live and source.reconnects == 0
        (first, before), *_, (last, after) = stamps
        assert last - first > 3 * 50_000_000
        between = round((last - first) / 10_000_000) - 3
        assert abs(between - (after - before)) <= 1, "one may still wait"


def test_a_sink_of_the_user_that_drops_makes_a_camera_of_a_file(pygobject):
    with opened(f"videotestsrc num-buffers=50 ! {SMALL},format=BGR ! {APPSINK}") as source:
        assert source.live


def test_a_file_that_is_endless_is_a_camera(pygobject):
    with opened(f"videotestsrc ! {SMALL}") as source:
        assert source.live


def test_a_cut_frame_is_partial_and_the_others_are_whole(pygobject, raw):
    whole = [bytes([n]) * BYTES for n in range(5)]
    cut = [whole[0], whole[1][:-1], whole[2], whole[3][:7], whole[4]]
    with opened(f"{raw(cut)} ! appsink sync=false") as source:
        faults, values = [], []
        while source.read_into(frame := new()):
            faults.append(frame.fault)
            values.append(int(frame.slot_image[0, 0, 0]))
        assert (source.live, source.broken) == (False, 2)
    assert faults == ["", PARTIAL_FRAME, "", PARTIAL_FRAME, ""]
    assert [v for v, f in zip(values, faults, strict=True) if not f] == [0, 2, 4]


def test_a_cut_jpeg_is_partial_and_the_others_are_decoded_into_the_slot(pygobject, raw):
    jpeg = encode(smooth(), "JPEG")
    text = raw([jpeg, jpeg[:-20], jpeg], caps="image/jpeg,framerate=20/1")
    with opened(f"{text} ! appsink sync=false") as source:
        assert source.path == "JPEGs, decoded into the slots"
        frames = []
        while source.read_into(frame := new()):
            frames.append(frame)
    assert [frame.fault for frame in frames] == ["", PARTIAL_FRAME, ""]
    for frame in (frames[0], frames[2]):
        assert frame.image is frame.slot_image and frame.writes == 1
        assert np.abs(frame.image.astype(int) - smooth()[..., ::-1]).mean() < 10


def test_the_format_may_change_while_a_pipeline_runs(pygobject, tmp_path):
    text = (
        f"videotestsrc num-buffers=3 ! {SMALL},format=BGR ! c. "
        "videotestsrc num-buffers=3 pattern=white ! "
        "video/x-raw,format=GRAY8,width=32,height=16,framerate=100/1 ! c. "
        "concat name=c ! appsink sync=false"
    )
    with opened(text) as source:
        found = []
        while source.read_into(frame := new()):
            found.append((frame.format, frame.image.shape))
    assert found == [("bgr", (48, 64, 3))] * 3 + [("gray", (16, 32, 1))] * 3


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("filesrc location=/no/such/file ! decodebin", "source/pipeline-failed", "/no/such/file"),
        ("v4l2src device=/dev/video77", "source/pipeline-failed", "Cannot identify device"),
        ("videotestsrc ! filesrc", "source/pipeline-failed", "could not link videotestsrc"),
        ("videotestsrc num-buffers=0", "source/pipeline-failed", "ended before its first frame"),
        ("appsink", "source/pipeline-failed", "it needs elements, joined by !"),
        ("videotestsrc ! video/x-raw,format=I420 ! appsink", "source/pipeline-format", "I420"),
        ("videotestsrc ! video/x-raw,format=NV12,width=63 ! appsink", "source/pipeline-format",
         "NV12 of 63x"),
    ],
)  # fmt: skip
def test_a_pipeline_that_does_not_start_says_why(pygobject, text, code, words):
    with fails(SourceError, code) as caught:
        opened(text)
    assert words in caught.value.problem


def test_a_secret_in_a_message_is_not_shown(pygobject):
    with fails(SourceError, "source/pipeline-failed") as caught:
        opened("rtspsrc location=rtsp://u:secret@127.0.0.1:1/x?key=abc ! decodebin")
    failed = pipelines.PipelineFailed("cannot open rtsp://u:secret@127.0.0.1:1/x?key=abc, or so")
    assert str(failed) == "cannot open rtsp://127.0.0.1:1/x or so"
    assert "secret" not in str(caught.value) + str(failed)


def test_a_pipeline_that_sends_nothing_is_told_after_a_while(pygobject, monkeypatch):
    monkeypatch.setattr(connections, "OPEN_SECONDS", 0.3)
    with fails(SourceError, "source/pipeline-failed") as caught:
        opened("videotestsrc is-live=true ! identity drop-probability=1")
    assert "no frame within 0.3 s" in caught.value.problem


def test_a_file_that_fails_before_its_end_is_an_error_after_its_frames(pygobject):
    text = f"videotestsrc num-buffers=20 ! {SMALL} ! identity error-after=5"
    with opened(text) as source:
        for _ in range(4):
            assert source.read_into(new())
        with fails(SourceError, "source/pipeline-ended") as caught:
            source.read_into(new())
    assert ": Failed after iterations as requested" in caught.value.problem


def test_a_camera_that_fails_is_started_again_and_the_log_says_why(pygobject, said):
    text = f"videotestsrc is-live=true ! {SMALL} ! identity error-after=5"
    with opened(text, attempts=3) as source:
        for _ in range(8):
            assert source.read_into(new())
        assert source.reconnects >= 1
    assert any("identity" in line and "Failed after iterations" in line for line in said)
    assert any("reconnecting" in line for line in said)


@pytest.mark.parametrize("live", [True, False])
def test_the_end_of_the_stream_ends_a_wait(pygobject, live):
    """A frame, then silence: a camera that hangs."""
    text = f"videotestsrc num-buffers=99 is-live={live} ! {SMALL} ! videoconvert"
    with opened(text) as source:
        assert source.live is live
        assert source.read_into(new())
        source._connection._pipeline._pipeline.set_state(pygobject.core.State.PAUSED)
        while source._connection._pipeline.pull(0.2) is not None:
            pass
        threading.Timer(0.2, source.stopping.set).start()
        begin = time.monotonic()
        assert not source.read_into(new())
        assert time.monotonic() - begin < 3


def test_what_elements_report_does_not_pile_up(pygobject):
    """Nobody but the source takes messages from the bus."""
    text = f"videotestsrc num-buffers=20 ! {SMALL} ! videoanalyse message=true"
    with opened(text) as source:
        bus = source._connection._pipeline._bus
        reported = False
        while source.read_into(new()):
            reported = reported or until(bus.have_pending, 1.0)
        assert reported and not bus.have_pending()
