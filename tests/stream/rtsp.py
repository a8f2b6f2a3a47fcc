"""A camera on the network in pure Python: RTSP with JPEGs in RTP over the same connection.

Source: RFC 2326 (RTSP, section 10.12: interleaved), RFC 2435 (RTP payload of a JPEG).
"""

import base64
import itertools
import socket
import struct
import threading
import time
from contextlib import suppress

import cv2

USER, PASSWORD = "inspector", "s3cret"
FRAGMENT = 1400  # bytes of a JPEG in one packet
TYPE_420, TABLES_INCLUDED, PAYLOAD_JPEG = 1, 255, 26
CLOCK = 90_000  # ticks of RTP's JPEG clock in a second


class RtspServer:
    """Serves what `draw(n)` draws for n = 0, 1, ... to anyone who knows the password."""

    def __init__(self, draw, *, fps=50.0, port=0, password=PASSWORD):
        self._draw, self._fps, self._password = draw, fps, password
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"rtsp://{USER}:{password}@127.0.0.1:{self.port}/line"
        self._counter = itertools.count()
        self._clients = []
        self._stopped = threading.Event()
        self.paused = threading.Event()
        """While set, the connection is there and no frame comes."""
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self):
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5.0)
        for client, thread in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join(5.0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._clients.append((client, thread))
                thread.start()

    def _serve(self, client):
        with client, suppress(OSError), client.makefile("rb") as lines:
            while request := self._request(lines):
                method, headers = request
                client.sendall(self._answer(method, headers))
                if method == "PLAY":
                    self._play(client)
                    return

    @staticmethod
    def _request(lines):
        first = lines.readline().decode().split()
        if not first:
            return None
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return first[0], headers

    def _answer(self, method, headers):
        body, status = "", "200 OK"
        extra = ["Session: 1"]
        wanted = "Basic " + base64.b64encode(f"{USER}:{self._password}".encode()).decode()
        if method == "OPTIONS":
            extra = ["Public: DESCRIBE, SETUP, PLAY, TEARDOWN"]
        elif headers.get("authorization") != wanted:
            status, extra = "401 Unauthorized", ['WWW-Authenticate: Basic realm="line"']
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=line\r\nt=0 0\r\n"
                f"m=video 0 RTP/AVP {PAYLOAD_JPEG}\r\na=control:video\r\n"
                f"a=framerate:{self._fps:g}\r\n"
            )
            extra = ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            extra.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        head = [f"RTSP/1.0 {status}", f"CSeq: {headers['cseq']}", *extra]
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()

    def _play(self, client):
        sequence = itertools.count()
        began = time.monotonic()
        for sent in itertools.count():
            if self._stopped.wait(max(began + sent / self._fps - time.monotonic(), 0.0)):
                return
            if self.paused.is_set():
                continue
            ticks = int(sent * CLOCK / self._fps)
            for packet in packets(self._draw(next(self._counter)), ticks, sequence):
                client.sendall(struct.pack(">BBH", 0x24, 0, len(packet)) + packet)


def packets(image, ticks, sequence):
    """Cut the JPEG of a BGR image, with sides that 8 divides, into RTP packets."""
    height, width = image.shape[:2]
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    tables, scan = dissect(jpeg)
    for start in range(0, len(scan), FRAGMENT):
        piece = scan[start : start + FRAGMENT]
        last = start + FRAGMENT >= len(scan)
        marker = PAYLOAD_JPEG | last << 7
        rtp = struct.pack(">BBHII", 0x80, marker, next(sequence) & 0xFFFF, ticks & 0xFFFFFFFF, 7)
        shape = (TYPE_420, TABLES_INCLUDED, width // 8, height // 8)
        head = struct.pack(">I4B", start, *shape)
        if start == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield rtp + head + piece


def dissect(jpeg):
    """Return the quantization tables and the entropy-coded scan of a baseline JPEG."""
    tables, at = b"", 2
    while True:
        marker, length = struct.unpack_from(">HH", jpeg, at)
        content = jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xFFDB:
            tables += b"".join(content[i + 1 : i + 65] for i in range(0, len(content), 65))
        if marker == 0xFFDA:
            return tables, jpeg[at:-2]
