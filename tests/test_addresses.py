"""No account and no password is ever shown."""

import pytest

from edgeseg.addresses import public


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:pass@host/live", "rtsp://host/live"),
        ("rtsp://user:p@ss@host:554/live", "rtsp://host:554/live"),
        ("rtsp://user:p/ss@host:554/live", "rtsp://host:554/live"),
        ("rtsp://user:p?ss@host/live", "rtsp://host/live"),
        ("http://host/video?user=me&key=1", "http://host/video?..."),
        ("rtsp://host/user=admin_password=x_channel=1.sdp", "rtsp://host/..."),
        (
            "gst://rtspsrc location=rtsp://a:b@h/x user-id=a user-pw='b c' ! decodebin",
            "gst://rtspsrc location=rtsp://h/x ... ... ! decodebin",
        ),
        ("rtsp://host:554/live", "rtsp://host:554/live"),
        ("v4l2:///dev/video0", "v4l2:///dev/video0"),
        ("photos of user=me@home?/", "photos of user=me@home?/"),
    ],
)
def test_an_address_is_shown_without_its_account(address, shown):
    assert public(address) == shown
