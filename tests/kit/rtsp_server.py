"""A real RTSP camera: GStreamer's RTSP server, in a process of its own.

    python -m tests.kit.rtsp_server PIPELINE [PORT]

It prints its port, and serves the pipeline at /line to each client.
"""

import signal
import subprocess
import sys
from contextlib import contextmanager

from edgeseg.errors import MissingExtra
from edgeseg.packages.gobject import load_library

PACKAGE = "gir1.2-gst-rtsp-server-1.0"


def missing(*elements):
    """Why there is no server with these elements; empty if there is one."""
    try:
        load_library("GstRtspServer", "1.0", PACKAGE)
        core = load_library("Gst", "1.0", PACKAGE)
    except MissingExtra as error:
        return str(error)
    core.init(None)
    lacks = [each for each in elements if core.ElementFactory.find(each) is None]
    return f"GStreamer has no {', '.join(lacks)}" if lacks else ""


class RtspCamera:
    """A server that can be killed and started again at the same port, frozen and continued."""

    def __init__(self, pipeline):
        self._pipeline, self.port = pipeline, 0
        self.start()

    def start(self):
        words = [sys.executable, "-m", "tests.kit.rtsp_server", self._pipeline, str(self.port)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        assert line, "the server does not start"
        self.port = int(line)

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.port}/line"

    def send(self, number):
        self._process.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def rtsp_camera(pipeline):
    """Serve a pipeline, which ends in a payloader called pay0."""
    camera = RtspCamera(pipeline)
    try:
        yield camera
    finally:
        camera.kill()


def main(pipeline, port="0"):
    """Serve until the process is killed."""
    core, glib, rtsp = (
        load_library(name, version, PACKAGE)
        for name, version in (("Gst", "1.0"), ("GLib", "2.0"), ("GstRtspServer", "1.0"))
    )
    core.init(None)
    server, factory = rtsp.RTSPServer(), rtsp.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory.set_launch(f"( {pipeline} )")
    factory.set_shared(True)
    server.get_mount_points().add_factory("/line", factory)
    if not server.attach(None):
        sys.exit("the port is in use")
    print(server.get_bound_port(), flush=True)
    glib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
