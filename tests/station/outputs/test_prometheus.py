"""The metrics, read by Prometheus' own tools where they are installed."""

import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.station.following.current import folder_of
from edgeseg.station.following.state import Following, write_following
from edgeseg.station.inspection import BUCKETS
from edgeseg.station.outputs.base import Lamp, StationState
from edgeseg.station.outputs.kinds import output_kind
from edgeseg.station.rates import RateLimit
from tests.kit.outputs import make_context

pytest.importorskip("prometheus_client")
RULES = Path(__file__).parents[3] / "deploy" / "prometheus-rules.yml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus"
)
STATE = StationState(
    lamps={"top": Lamp(ok=True, code=0)},
    alive=True,
    last=12,
    status={
        "stopped": "",
        "journal": {"trouble": "", "lost": 0},
        "evidence": {"kept": 5, "missed": 2, "failed": 1, "gb": 0.1, "trouble": ""},
        "cameras": {
            "top": {
                "state": "running",
                "driver_drops": 2,
                "codes": {"0": 9, "1": 3},
                "latency": {"buckets": [0] * 4 + [7, 5] + [0] * (len(BUCKETS) - 5), "seconds": 0.3},
                "drift": {"positions": {"brightness": -0.25}, "alarms": []},
            }
        },
    },
    outputs={
        "mqtt": {"bad_for": 1.5, "failures": 4, "cursor": 10},
        "page": {"bad_for": 0, "failures": 0},
    },
)


def test_who_asks_too_often_is_refused(scraped, monkeypatch):
    monkeypatch.setattr(RateLimit, "allows", lambda self, address: address != "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError, match="429"):
        scraped(STATE)


@pytest.fixture
def scraped(tmp_path):
    """Return a function that shows a state and reads the metrics."""
    kind = output_kind("prometheus")
    context = replace(make_context(tmp_path), following=("plates",))
    output = kind(kind.Settings(address="127.0.0.1:0"), context)
    output.open()
    server, _ = output._server

    def read(state):
        output.show(state)
        address = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.read().decode()

    with output:
        yield read


def test_the_state_is_served(scraped):
    lines = scraped(STATE).splitlines()
    for line in (
        "edgeseg_up 1.0",
        "edgeseg_line_stopped 0.0",
        "edgeseg_evidence_missing_total 3.0",
        'edgeseg_inspections_total{camera="top",code="1"} 3.0',
        'edgeseg_latency_seconds_bucket{camera="top",le="0.02"} 7.0',
        'edgeseg_latency_seconds_bucket{camera="top",le="+Inf"} 12.0',
        'edgeseg_latency_seconds_count{camera="top"} 12.0',
        'edgeseg_drift{camera="top",measure="brightness"} -0.25',
        'edgeseg_output_behind{output="mqtt"} 2.0',
        'edgeseg_output_failing_seconds{output="mqtt"} 1.5',
    ):
        assert line in lines
    assert not [line for line in lines if 'behind{output="page"' in line]


def test_only_recipes_that_follow_a_tag_are_watched(tmp_path, scraped):
    for recipe in ("plates", "gone"):  # the file does not name the second any more
        state = Following(problem="refused", answered=5.0)
        write_following(folder_of(tmp_path, recipe), state)
    lines = [line for line in scraped(STATE).splitlines() if line.startswith("edgeseg_model_")]
    assert lines == [
        'edgeseg_model_failing{recipe="plates"} 1.0',
        'edgeseg_model_answered_timestamp_seconds{recipe="plates"} 5.0',
    ]


def test_before_the_first_status_it_is_down(scraped):
    assert "edgeseg_up 0.0" in scraped(StationState()).splitlines()


@needs_promtool
def test_promtool_finds_no_fault(scraped):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scraped(STATE), text=True, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


SERIES = """
rule_files: [{rules}]
evaluation_interval: 10s
tests:
  - interval: 10s
    input_series:
      - {{series: 'edgeseg_up', values: '1x20 0x20'}}
      - {{series: 'edgeseg_camera_running{{camera="top"}}', values: '1x40'}}
      - {{series: 'edgeseg_drift{{camera="top",measure="brightness"}}', values: '0.1x10 -0.6x30'}}
      - {{series: 'edgeseg_inspections_total{{camera="top",code="0"}}', values: '0+300x40'}}
      - {{series: 'edgeseg_inspections_total{{camera="top",code="11"}}', values: '0+1x40'}}
    alert_rule_test:
      - {{eval_time: 3m, alertname: StationSilent, exp_alerts: []}}
      - eval_time: 5m
        alertname: StationSilent
        exp_alerts:
          - exp_annotations:
              summary: The station does not answer; the line sees NOT OK
      - {{eval_time: 6m, alertname: CameraLost, exp_alerts: []}}
      - {{eval_time: 6m, alertname: PartsNotInspected, exp_alerts: []}}
      - {{eval_time: 2m, alertname: Drift, exp_alerts: []}}
      - eval_time: 6m
        alertname: Drift
        exp_alerts:
          - exp_labels: {{camera: top, measure: brightness}}
            exp_annotations:
              summary: "brightness of camera top has drifted: check lamp and lens"
"""


@needs_promtool
def test_the_alerts_come_when_they_should(tmp_path):
    file = tmp_path / "alerts.yml"
    file.write_text(SERIES.format(rules=RULES))
    done = subprocess.run(["promtool", "test", "rules", file], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
