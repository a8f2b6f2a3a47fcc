"""No account and no password is ever shown, and each reaches the camera as it was typed."""

from urllib.parse import unquote, urlsplit

import pytest

from edgeseg.addresses import encoded, public, scrub, without_accounts
from edgeseg.errors import SourceError
from tests.kit.errors import fails


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://host:554/live", "rtsp://host:554/live"),
        ("rtsp://[::1]:554/live", "rtsp://[::1]:554/live"),
        ("rtsp://user:pass@host/live", "rtsp://host/live"),
        ("RTSP://user@host/live", "rtsp://host/live"),
        ("rtsp://user:p@ss@host:554/live", "rtsp://host:554/live"),
        ("rtsp://user:p ss\"'%@host/live", "rtsp://host/live"),
        ("http://host/video?user=me&key=1#me", "http://host/video"),
        ("rtsp://host/user=admin_password=x_channel=1.sdp", "rtsp://host/..."),
        ("http://host/\x1b[31m", "http://host/\\x1b[31m"),
        ("v4l2:///dev/video0", "v4l2:///dev/video0"),
        ("test://640x480@30", "test://640x480@30"),
        ("photos of user=me@home?/", "photos of user=me@home?/"),
    ],
)
def test_an_address_is_shown_as_scheme_host_port_and_path(address, shown):
    assert public(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://user:S3/cret@host:554/live",
        "rtsp://user:12/S3cret@host:554/live",
        "rtsp://user:S3?cret@host/live",
        "rtsp://user:S3#cret@host/live",
        "rtsp://user:12#S3cret@host/live",
        "rtsp://user:S3[cret@host/live",
        "rtsp://user:S3\ncret@host/live",
        "rtsp://user:S3cret%40host/live",
        "rtsp://S3cret%40host/live",
        "rtsp://host:S3cret",
    ],
)
def test_of_an_address_that_cannot_be_parsed_nothing_is_shown(address):
    assert public(address) == "rtsp://..."


@pytest.mark.parametrize(
    "address", ["user:S3cret@host/live", "rtsp:/u:S3cret@h", "rtsp//u:S3cret@h", "r tsp://u:S3@h"]
)
def test_an_address_with_a_mistake_in_its_scheme_is_not_shown(address):
    assert public(address) == "..."


@pytest.mark.parametrize(
    ("pipeline", "shown"),
    [
        (
            "rtspsrc location=rtsp://a:b@h/x user-id=a user-pw='b c' ! decodebin",
            "rtspsrc location=rtsp://h/x user-id=... user-pw=... ! decodebin",
        ),
        ('rtspsrc location="rtsp://u:p\\"w@h/x" ! x', "rtspsrc location=rtsp://h/x ! x"),
        ("rtspsrc user-pw = S3cret ! x", "rtspsrc user-pw=... ! x"),
        ("souphttpsrc extra-headers='a,Authorization=x' ! x", "souphttpsrc extra-headers=... ! x"),
        ("rtspsrc user-pw=my S3cret ! x", "rtspsrc user-pw=... ... ! x"),
        ("filesrc location=/a/b.mp4 ! decodebin", "filesrc location=/a/b.mp4 ! decodebin"),
        ("rtspsrc user-pw='S3cret ! x", "..."),
        (
            "v4l2src device=/dev/video0 ! video/x-raw, width=640,format=BGR ! tee name=t t. ! x",
            "v4l2src device=/dev/video0 ! video/x-raw, width=640,format=BGR ! tee name=t t. ! x",
        ),
    ],
)
def test_of_a_pipeline_only_harmless_properties_are_shown(pipeline, shown):
    assert public(f"gst://{pipeline}") == f"gst://{shown}"


@pytest.mark.parametrize(
    "password",
    ["p@ss", "50%", "50%off", "a b", "quo\"te's", "a:b", "gr\u00fcn", "a&b=c+d", "{}|^`"],
)
def test_a_password_reaches_the_camera_as_it_was_typed(password):
    url = encoded(f"rtsp://me@home:{password}@host:554/live?a=b#c")
    parts = urlsplit(url)
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("host", 554, "/live", "a=b")
    assert (unquote(parts.username), unquote(parts.password)) == ("me@home", password)
    assert url.isascii() and " " not in url


def test_an_escape_in_a_password_stays():
    url = "rtsp://me:a%2Fb%40c%23%3F%25%20@host/live"
    assert encoded(url) == url


def test_a_byte_that_is_no_text_becomes_an_escape():
    assert encoded("http://host/caf\udce9") == "http://host/caf%E9"


@pytest.mark.parametrize("password", ["S3/cret", "S3?cret", "S3#cret", "12#cret", "S3[cret"])
def test_a_password_that_needs_an_escape_is_refused_with_the_escape(password):
    with fails(SourceError, "source/invalid-address") as caught:
        encoded(f"rtsp://me:{password}@host/live")
    assert "cret" not in caught.value.problem
    for escape in ("@ as %40", "# as %23", "/ as %2F", "? as %3F", "% as %25", "space as %20"):
        assert escape in caught.value.remedy


def test_the_command_line_is_scrubbed_from_a_text():
    words = [
        "edgeseg",
        "stream",
        "rtsp://u:S3 cret@host/x",
        "--source=http://u:S3cret@h/y",
        "a.png",
    ]
    text = f"not found: {words[2]}, http://u:S3cret@h/y and a.png"
    assert scrub(text, words) == "not found: rtsp://host/x, http://h/y and a.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open rtsp:/u:SECRET@h/x: no", "cannot open rtsp:/...@h/x: no"),
        ("frames is 'rtsp://u:SE/CR@ET@h'", "frames is 'rtsp://...@h'"),
        ("csi://u:SECRET@h", "csi://...@h"),
        ('{"out": "http://SECRET@h/x"}', '{"out": "http://...@h/x"}'),
        ("test://640x480@30 and a@b", "test://640x480@30 and a@b"),
        ("C:/photos/cam@2x.png", "C:/photos/cam@2x.png"),
    ],
)
def test_a_text_loses_the_accounts_of_its_addresses(text, shown):
    assert without_accounts(text) == shown
