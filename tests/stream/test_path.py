"""How frames reach the graph: told once, with the export that makes it shorter."""

from edgeseg.config import StreamConfig
from edgeseg.stream.stream import stream, stream_from
from tests.kit.cards import make_card
from tests.kit.fakes import ListSource, RedBackend, solid_image


def run(source):
    return stream(RedBackend(), source, [], StreamConfig(window=False))


def test_a_resize_on_the_cpu_is_logged_once(said):
    run(ListSource([solid_image(0, 96, 128), solid_image(0, 32, 32), solid_image(0, 96, 128)]))
    assert said == [
        "list: frames are resized from 128x96 to 64x48 on the CPU, included in the latency; "
        "to avoid it: edgeseg export red --frame-size 128x96, and use the file that it writes"
    ]


def test_what_a_source_converts_is_told_with_the_remedy(said):
    """A V4L2 camera converts in the capture thread."""
    source = ListSource([solid_image()])
    source.sends, source.path = "yuyv", "yuyv, converted to bgr"
    run(source)
    assert said == [
        "list: yuyv, converted to bgr; CPU writes per frame: unknown",
        "list: frames are converted from yuyv to bgr on the CPU, included in the latency; "
        "to avoid it: edgeseg export red --frame-size 64x48 --format yuyv, and use the file "
        "that it writes",
    ]


def test_a_conversion_and_a_resize_are_part_of_the_path(said):
    config = StreamConfig(source="test://128x96@500", frames=2, window=False)
    report = stream_from(RedBackend(make_card(frame_format="gray")), config)
    assert report.path == "bgr, drawn, resized from 128x96 to 64x48"
    assert report.cpu_writes == 2
    assert any(line.endswith(f"{report.path}; CPU writes per frame: 2") for line in said)
    assert any("edgeseg export red --frame-size 128x96 --format gray, and" in line for line in said)
