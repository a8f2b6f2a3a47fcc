"""stream: results, latency, limits, errors and signals, from source to sinks."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from itertools import repeat

import cv2
import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.config import StreamConfig
from edgeseg.data.images import write_png
from edgeseg.errors import ConfigError, ModelError, SinkError, SourceError
from edgeseg.stream.sink.base import FrameSink
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.sink.video import VideoSink
from edgeseg.stream.stream import stream, stream_from
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import REQUESTS, Collector, ListSource, PlainBackend, RedBackend, solid_image
from tests.stream.sink.results import frame_lines

WAIT = 10.0  # seconds; a longer wait is a failure
QUIET = StreamConfig(window=False)


def run(source, sinks=(), *, backend=None, config=QUIET):
    return stream(backend or RedBackend(), source, sinks, config)


def test_a_file_loses_no_frame_and_every_verdict_is_right():
    collector = Collector()
    reds = [0, 100, 130, 200, 255] * 8
    report = run(ListSource([solid_image(red) for red in reds]), [collector])
    assert [r.index for r in collector.results] == list(range(40))
    assert [r.score for r in collector.results] == pytest.approx([red / 255 for red in reds])
    assert [r.verdict for r in collector.results[:5]] == [
        *("good", "good", "good", "anomalous", "anomalous")
    ]
    assert [int(m.max()) for m in collector.masks[:5]] == [0, 0, 255, 255, 255]
    assert (report.frames, report.drops, report.anomalous) == (40, 0, 16)
    assert report.latency.n == 40


def test_a_slow_backend_drops_frames_of_a_live_source_and_sees_the_newest():
    class Camera(ListSource):
        def read_into(self, frame):
            if not super().read_into(frame):
                delivered.set()
                assert finished.wait(WAIT)
                return False
            if frame.image[0, 0, 2] == 1:
                assert running.wait(WAIT)  # the second frame comes while the first is in inference
            return True

    def on_run(count):
        if count == REQUESTS + 1:  # the first runs are the warm-up
            running.set()
            assert delivered.wait(WAIT)
        if count == REQUESTS + 2:
            finished.set()

    running, delivered, finished = threading.Event(), threading.Event(), threading.Event()
    collector = Collector()
    source = Camera([solid_image(red) for red in range(10)], live=True)
    report = run(source, [collector], backend=RedBackend(on_run=on_run))
    assert [r.index for r in collector.results] == [0, 9]
    assert collector.results[1].score == pytest.approx(9 / 255)
    assert (report.frames, report.drops) == (2, 8)


def test_latency_starts_when_a_live_frame_arrives(monkeypatch):
    clock = iter(range(0, 10**12, 10_000_000))  # each look at the clock is 10 ms later
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(clock))
    report = run(ListSource([solid_image()], live=True))
    stages = {name: stage.max_ms for name, stage in report.stages.items()}
    assert stages == pytest.approx({"wait": 10.0, "submit": 10.0, "run": 20.0})
    assert report.latency.max_ms == pytest.approx(30.0)


@pytest.mark.parametrize("frame_format", ["bgr", "rgb"])
def test_frames_reach_the_graph_in_its_format(frame_format):
    collector = Collector()
    backend = RedBackend(make_card(frame_format=frame_format))
    run(ListSource([solid_image(255)]), [collector], backend=backend)
    assert collector.results[0].score == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [RedBackend, PlainBackend])
def test_nothing_is_bound_again_and_each_request_has_one_warm_up_iteration(kind):
    backend = kind()
    run(ListSource([solid_image()] * 7), backend=backend)
    assert (backend.bound, backend.runs) == (REQUESTS, REQUESTS + 7)


def test_thresholds_of_the_configuration_override_the_card_s():
    collector = Collector()
    config = StreamConfig(window=False, threshold=0.1, image_threshold=0.2)
    run(ListSource([solid_image(60)]), [collector], config=config)
    assert collector.results[0].verdict == "anomalous"
    assert collector.masks[0].min() == 255
    assert collector.threshold == pytest.approx(0.1)


def test_a_score_of_nan_is_unknown():
    class Broken(RedBackend):
        def run(self):
            super().run()
            self._slot.score[0] = np.nan

    collector = Collector()
    run(ListSource([solid_image(0)]), [collector], backend=Broken())
    assert collector.results[0].verdict == "unknown"
    assert collector.results[0].reason == "the result is not a number"


def test_a_frame_beyond_the_limits_of_its_input_check_is_unknown_even_if_it_is_anomalous():
    limits = (InputLimit(name="brightness", low=0.1, high=0.9),)
    backend = RedBackend(make_card(input_check=limits))
    collector = Collector()
    images = [solid_image(red) for red in (0, 100, 200, 255)]
    report = run(ListSource(images), [collector], backend=backend)
    found = [(record.verdict, record.reason) for record in collector.results]
    assert found == [
        ("unknown", "too dark"),
        ("good", ""),
        ("anomalous", ""),
        ("unknown", "too bright"),
    ]
    assert (report.anomalous, report.unknown) == (1, 2)
    assert (
        "4 frames in" in report.summary()
        and "1 good, 1 anomalous, 2 unknown, 0 dropped" in report.summary()
    )


def test_limits_end_a_stream():
    assert run(ListSource([solid_image()] * 50), config=StreamConfig(frames=7)).frames == 7
    endless = ListSource(repeat(solid_image()), live=True)
    report = run(endless, config=StreamConfig(seconds=0.4))
    assert report.frames > 0
    assert report.seconds >= 0.4


def test_a_sink_that_wants_no_more_ends_the_stream():
    full = Collector(limit=3)
    report = run(ListSource([solid_image()] * 50), [full, other := Collector()])
    assert len(full.results) == 3
    assert len(other.results) == report.frames < 50, "the other has what was computed meanwhile"


def test_a_source_without_frames_is_an_error():
    with fails(SourceError, "source/no-frames"):
        run(ListSource([]))


def test_a_camera_that_dies_ends_with_its_error_after_the_report(tmp_path, said):
    died = SourceError("camera 0 was lost.", remedy="check its cable")
    with JsonlSink(tmp_path / "lines.jsonl") as lines, pytest.raises(SourceError) as caught:
        run(ListSource([solid_image()] * 3 + [died]), [lines])
    assert caught.value is died
    assert said[-1].startswith("list: 3 frames in")
    assert len(frame_lines(tmp_path / "lines.jsonl")) == 3


def test_a_camera_that_blocks_in_a_read_may_write_later(monkeypatch, said):
    class Hanging(ListSource):
        def read_into(self, frame):
            hangs.set()
            assert go_on.wait(WAIT)
            frame.image[...] = 7
            written.append(frame.image)
            return True

    monkeypatch.setattr("edgeseg.stream.pipeline.capture.JOIN_SECONDS", 0.01)
    hangs, go_on, written = threading.Event(), threading.Event(), []
    source = Hanging([], live=True)
    run(source, config=StreamConfig(window=False, seconds=0.05))
    assert hangs.is_set()
    assert said == ["list: read() is blocked; its buffers are kept until this process exits"]
    gc.collect()  # the backend and its slots have no other reference
    go_on.set()
    (capture,) = [thread for thread in threading.enumerate() if thread.name == "capture"]
    capture.join(WAIT)
    assert (written[0] == 7).all()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT from a program to itself")
def test_buffers_outlast_inference_however_often_ctrl_c_is_typed():
    def on_run(count):
        if count == REQUESTS + 1:
            for _ in range(3):  # stop when this frame is done; stop at once; the last: impatience
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)
            computed.append(count)

    computed = []
    endless = ListSource(repeat(solid_image()), live=True)
    with pytest.raises(KeyboardInterrupt):
        run(endless, backend=RedBackend(on_run=on_run))
    assert computed, "the frame that was under way was waited for"
    assert not [t for t in threading.enumerate() if t.name == "inference"]


def test_a_sink_that_fails_spares_the_others_and_is_in_the_report(tmp_path, said):
    class Failing(FrameSink):
        def write(self, result):
            if result.record.index == 2:
                raise SinkError("no room", remedy="make room")
            return True

    source = ListSource([solid_image()] * 100)
    with JsonlSink(tmp_path / "lines.jsonl") as lines:
        report = run(source, [lines, Failing()])
    assert len(frame_lines(tmp_path / "lines.jsonl")) == report.frames == 100
    assert said == ["no room; the stream continues"]
    assert [each.problem for each in report.errors] == ["no room"]
    assert "warning: no room" in report.summary()
    with pytest.raises(SinkError):
        report.check()


def test_the_failure_of_the_last_sink_ends_the_stream():
    class Failing(FrameSink):
        def write(self, result):
            raise SinkError("no room", remedy="make room")

    source = ListSource(repeat(solid_image()))
    report = run(source, [Failing(), Failing()])
    assert report.frames < 100 and len(report.errors) == 2
    assert source.stopping.is_set()
    assert not [t for t in threading.enumerate() if t.name in ("capture", "inference")]


def test_a_graph_of_several_frames_a_run_is_refused():
    backend = RedBackend(make_card(batch=4))
    with fails(ModelError, "model/batch") as caught:
        run(ListSource([solid_image()]), backend=backend)
    assert caught.value.remedy == "edgeseg export --batch 1"


def test_the_report_in_text_and_json():
    report = run(ListSource([solid_image(255)] * 4))
    document = json.loads(json.dumps(report.to_json()))
    assert set(document) == set(
        "source engine mode frames anomalous unknown drops broken reconnects not_shown "
        "trigger_drops missed_triggers keep_warm_iterations received unread damaged lost errors "
        "not_judged strict warnings budget_ms misses max_misses seconds fps stages clocks n "
        "mean_ms max_ms p50_ms p90_ms p99_ms p999_ms driver_drops path cpu_writes".split()
    )
    assert set(document["stages"]) == {"wait", "run", "submit"}
    assert (document["n"], document["anomalous"], document["drops"]) == (4, 4, 0)
    text = report.summary()
    assert "0 good, 4 anomalous, 0 unknown, 0 dropped" in text
    assert "arrival to mask  p50" in text and "p99.9" in text
    assert "fake, CPU, 1 thread, saturated, 1 in flight, 4 masks" in text


def test_a_folder_into_a_video_and_lines(tmp_path):
    for number, red in enumerate((0, 255, 0)):
        write_png(tmp_path / "photos" / f"{number}.png", solid_image(red)[:, :, ::-1])
    config = StreamConfig(
        source=str(tmp_path / "photos"),
        out=tmp_path / "out.mp4",
        jsonl=tmp_path / "out.jsonl",
        window=False,
    )
    report = stream_from(RedBackend(), config)
    assert report.frames == 3
    assert cv2.VideoCapture(str(config.out)).get(cv2.CAP_PROP_FRAME_COUNT) == 3
    lines = frame_lines(config.jsonl)
    assert [line["verdict"] for line in lines] == ["good", "anomalous", "good"]
    assert lines[1]["file"] == str(tmp_path / "photos" / "1.png")


def test_a_video_file_is_streamed_whole(clip):
    config = StreamConfig(source=str(clip), window=False)
    report = stream_from(RedBackend(), config)
    assert (report.frames, report.drops) == (7, 0)
    assert (report.path, report.cpu_writes) == ("JPEGs, decoded into the slots", 1)


def test_the_synthetic_camera_is_streamed():
    config = StreamConfig(source="test://64x48@500", frames=20, window=False)
    report = stream_from(RedBackend(), config)
    assert report.frames == 20
    assert "frames: bgr, drawn; CPU writes per frame: 1\n" in report.summary()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_a_second_signal_does_not_cut_the_files_off(tmp_path, monkeypatch):
    close = VideoSink.close

    def close_when_told_again(sink):
        signal.raise_signal(signal.SIGTERM)
        close(sink)

    def on_run(count):
        if count == REQUESTS + 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(VideoSink, "close", close_when_told_again)
    config = StreamConfig(source="test://64x48@500", out=tmp_path / "out.mp4", window=False)
    report = stream_from(RedBackend(on_run=on_run), config)
    assert report.frames >= 4
    assert cv2.VideoCapture(str(config.out)).get(cv2.CAP_PROP_FRAME_COUNT) >= 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_stream_with_complete_files(tmp_path, number):
    program = textwrap.dedent(f"""
        from pathlib import Path
        from edgeseg.config import StreamConfig
        from edgeseg.stream.stream import stream_from
        from tests.kit.fakes import RedBackend

        def on_run(count):
            if count == 10:
                print("running", flush=True)

        config = StreamConfig(
            source="test://64x48@200", out=Path("{tmp_path}/out.mp4"),
            jsonl=Path("{tmp_path}/out.jsonl"), window=False,
        )
        print(stream_from(RedBackend(on_run=on_run), config).summary())
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "running\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, err) == (0, "")
    assert "arrival to mask" in out
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(lines) >= 7
    assert all(json.loads(line) for line in lines)
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) >= 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "out.mp4"]


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "v4l2://0"),
        ({"camera": "1"}, "v4l2://1"),
        ({"camera": "csi://0"}, "csi://0"),
        ({"source": "1"}, "1"),
        ({"source": "clip.mp4"}, "clip.mp4"),
    ],
)
def test_camera_0_is_the_default(settings, address):
    assert StreamConfig(**settings).address() == address


@pytest.mark.parametrize(
    "settings",
    [
        {"camera": "0", "source": "clip.mp4"},
        {"frames": 0},
        {"seconds": 0.0},
        {"threshold": float("nan")},
        {"reconnects": -1},
    ],
)
def test_stream_config_refuses_invalid_settings(settings):
    with pytest.raises(ConfigError):
        StreamConfig(**settings)
