"""A real browser without a window, driven over the pipe of its developer tools.

https://chromedevtools.github.io/devtools-protocol: a command and its answer are JSON documents that
end with a zero byte, on file descriptors 3 and 4 of the browser.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)


class Browser:
    """One page; what it asks for and what it complains about is kept."""

    def __init__(self, write, read):
        self._write, self._read = write, read
        self._last, self._session = 0, None
        self.requests, self.complaints = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Send a command; return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while (found := self._next()).get("id") != self._last:
            self._note(found)
        assert "error" not in found, found["error"]
        return found["result"]

    def open(self, path, width=1000, height=800):
        """Load a file, or an address, and wait until it is complete, images too."""
        self.requests, self.complaints = [], []
        self.resize(width, height)
        self.call("Page.navigate", url=path if isinstance(path, str) else path.as_uri())
        while (found := self._next()).get("method") != "Page.loadEventFired":
            self._note(found)

    def resize(self, width, height=800):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def media(self, name="screen", scheme="light"):
        """Show the page as printed (`print`), or with a `light` or `dark` color scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=name, features=[feature])

    def evaluate(self, expression):
        """Return the value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression, seconds=120.0):
        """Wait until a JavaScript expression is true; what it was last."""
        end = time.monotonic() + seconds
        safe = f"(() => {{ try {{ return {expression} }} catch {{ return null }} }})()"
        while not (found := self.evaluate(safe)) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def click(self, selector):
        """Click with the mouse in the middle of an element, once it does not move any more."""
        middle = f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center", behavior: "instant"}});
            const b = e.getBoundingClientRect();
            return [b.x + b.width / 2, b.y + b.height / 2];
        }})()"""
        before = None
        while (found := self.evaluate(middle)) != before:
            before = found
            time.sleep(0.1)
        x, y = found
        for kind in ("mousePressed", "mouseReleased"):
            at = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **at)

    def press(self, *keys):
        """Press keys, one after the other; a letter, or a name such as `Tab`."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37}
        for key in keys:
            code = codes.get(key, ord(key[0].upper()))
            text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
            at = {"key": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", **at, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **at)

    def type(self, selector, text):
        """Write into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def choose(self, selector, value):
        """Choose an option of a list, as a person does: the page is told."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(
            f"{where}.value = {json.dumps(value)};"
            f"{where}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    def picture(self):
        """Return the whole page as a PNG file."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def _next(self):
        letters = bytearray()
        while (letter := self._read.read(1)) != b"\0":
            assert letter, "the browser has ended"
            letters += letter
        return json.loads(letters)

    def _note(self, event):
        given = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(given["entry"]["text"])
        elif event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(given))


@contextmanager
def browsing(folder):
    """A browser with a profile of its own in `folder`; skips the test where none is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no browser to read the page with: apt-get install chromium")
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()

    def connect():
        for place, end in enumerate((theirs_in, theirs_out)):
            os.dup2(end, 62 + place)  # neither end is overwritten below
        for place in range(2):
            os.dup2(62 + place, 3 + place)

    command = [program, *OPTIONS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command,
        preexec_fn=connect,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with os.fdopen(ours_out, "wb", 0) as write, os.fdopen(ours_in, "rb") as read:
            yield Browser(write, read)
    finally:
        process.terminate()
        process.wait(timeout=120)
