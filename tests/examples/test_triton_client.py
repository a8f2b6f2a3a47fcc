"""The client example judges as edgeseg does, and calls good only what it can judge."""

import itertools
import json
import math
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from edgeseg.cards import InputLimit
from edgeseg.verdict.verdict import judge

EXAMPLE = Path(__file__).parents[2] / "examples" / "triton_client.py"
VALUES = (0.0, 0.2, 0.5, 0.9, -1.0, math.nan, math.inf, -math.inf)
LIMITS = (InputLimit(name="brightness", low=0.1, high=0.6), InputLimit(name="layout", high=0.5))


@pytest.fixture(scope="module")
def example():
    """The functions of the example."""
    names: dict = {"__name__": "triton_client"}
    exec(compile(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE), "exec"), names)
    return names


def outputs(score, *check):
    return {
        "score": struct.pack("<f", score),
        "input_check": struct.pack(f"<{len(check)}f", *check),
    }


def test_its_verdicts_are_those_of_edgeseg(example):
    card = {"rule": {"by": "score"}, "image_threshold": 0.5}
    card["input_check"] = [asdict(limit) for limit in LIMITS]
    seen = set()
    for score, *check in itertools.product(VALUES, repeat=3):
        found = example["verdict"](outputs(score, *check), card)
        rounded = struct.unpack("<3f", struct.pack("<3f", score, *check))
        assert found == judge(rounded[0], 0.5, rounded[1:], LIMITS).name
        seen.add(found)
    assert seen == {"good", "anomalous", "unknown"}


def test_what_it_cannot_judge_is_never_good(example):
    card = {"rule": {"by": "region"}, "image_threshold": 0.5, "input_check": []}
    assert example["verdict"](outputs(0.0), card) == "unknown"
    card = card | {"rule": {"by": "score"}, "input_check": [asdict(LIMITS[0])]}
    with pytest.raises(struct.error):
        example["verdict"]({"score": struct.pack("<f", 0.0)}, card)


def test_without_a_server_it_says_unknown(tmp_path):
    (tmp_path / "frame.raw").write_bytes(b"\0" * 768)
    command = [sys.executable, EXAMPLE, "plates", tmp_path / "frame.raw", tmp_path / "mask.raw"]
    command += ["--url", "http://127.0.0.1:9"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("unknown: no answer")
    assert not (tmp_path / "mask.raw").exists()


CONFIG = {
    "version_policy": {"specific": {"versions": [2]}},
    "parameters": {
        f"edgeseg.{name}": {"string_value": json.dumps(value)}
        for name, value in {
            "frame_shape": [1, 16, 16, 3],
            "threshold": 0.5,
            "image_threshold": 0.5,
            "input_check": [],
            "rule": {"by": "score"},
        }.items()
    },
}


def whole(content, body=b"", **headers):
    """A response: JSON, and bytes after it."""
    head = json.dumps(content).encode()
    length = {"Content-Length": len(head + body), "Inference-Header-Content-Length": len(head)}
    lines = [f"{name}: {value}" for name, value in (length | headers).items()]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + head + body


def result(version):
    """A score of 0 and an empty mask."""
    sizes = {"score": 4, "mask": 256}
    tensors = [{"name": k, "parameters": {"binary_data_size": v}} for k, v in sizes.items()]
    return whole({"model_version": version, "outputs": tensors}, bytes(260))


@contextmanager
def answering(*answers):
    """A server that gives each connection the next answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("config", "answer", "said"),
    [
        (CONFIG, result("2"), "good"),
        (CONFIG, result("3"), "unknown: "),  # loaded between the two requests
        (CONFIG, result("2")[:-9], "unknown: "),
        (CONFIG, b"SSH-2.0\r\n", "unknown: "),
        (CONFIG, whole([]), "unknown: "),
        ([], result("2"), "unknown: "),
        ({"parameters": None}, result("2"), "unknown: "),
    ],
)
def test_an_answer_that_cannot_be_judged_is_unknown(tmp_path, config, answer, said):
    (tmp_path / "frame.raw").write_bytes(bytes(768))
    with answering(whole(config), answer) as url:
        command = [sys.executable, EXAMPLE, "plates", tmp_path / "frame.raw", tmp_path / "mask.raw"]
        command += ["--url", f"{url}/"]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert (done.stdout or done.stderr).startswith(said)
    assert "Traceback" not in done.stderr and (done.returncode == 0) == (said == "good")


def test_it_is_short_and_needs_only_python():
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 110
    words = [line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))]
    assert {word.split(".")[0] for word in words} <= sys.stdlib_module_names
