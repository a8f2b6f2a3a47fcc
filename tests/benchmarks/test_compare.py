"""compare: what is worse, what is noise, and what cannot be compared."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from compare import main
from documents import Document, Figure, figure

RNG = np.random.default_rng(0)
SLOW, FAST = RNG.normal(100, 10, 400), RNG.normal(100, 10, 400)  # the same distribution


@pytest.fixture
def write(tmp_path):
    """Write a document of some figures; return its path."""

    def put(name, *figures, machine="a board", benchmark="backends"):
        document = Document(
            benchmark=benchmark,
            day="2026-01-02",
            machine=machine,
            command="python benchmarks/bench_backends.py a",
            versions={"python": "3.11.7"},
            figures=figures,
        )
        path = tmp_path / name
        path.write_text(json.dumps(asdict(document)))
        return path

    return put


@pytest.fixture
def compare(capsys):
    """Compare: (exit code, standard output, standard error)."""

    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def ms(samples, name="a run"):
    return figure(name, samples, unit="ms")


def test_a_file_is_the_same_as_itself(write, compare):
    path = write("a.json", ms(SLOW))
    code, out, _ = compare(path, path)
    assert code == 0
    assert "backends: a run" in out and "+0.0%" in out and "the same" in out


def test_other_samples_of_the_same_distribution_are_within_the_noise(write, compare):
    code, out, _ = compare(write("a.json", ms(SLOW)), write("b.json", ms(FAST)))
    assert code == 0 and "within the noise" in out


@pytest.mark.parametrize(
    ("factor", "limit", "code", "word"),
    [
        (1.10, "5%", 3, "worse"),
        (1.10, "0.05", 3, "worse"),
        (1.10, "20%", 0, "worse"),
        (0.90, "5%", 0, "better"),
        (1.03, "5%", 0, "worse"),
        (1.005, "0%", 0, "within the noise"),
    ],
)
def test_a_loss_beyond_the_limit_and_the_noise_ends_with_3(
    write, compare, factor, limit, code, word
):
    old, new = write("a.json", ms(SLOW)), write("b.json", ms(SLOW * factor))
    found, out, err = compare(old, new, "--max-regress", limit)
    assert (found, word in out) == (code, True)
    assert ("backends: a run by 10.0%" in err) == (code == 3)


def test_a_loss_within_a_large_noise_passes(write, compare):
    wild = np.concatenate([SLOW, SLOW * 5, SLOW / 5])[::60]
    code, out, _ = compare(write("a.json", ms(wild)), write("b.json", ms(wild * 1.2)))
    assert code == 0 and "within the noise" in out


def test_more_is_better_where_the_figure_says_so(write, compare):
    def share(factor):
        return figure("throughput", SLOW * factor, unit="x", better="higher")

    assert compare(write("a.json", share(1)), write("b.json", share(1.2)))[0] == 0
    code, out, _ = compare(write("a.json", share(1)), write("b.json", share(0.8)))
    assert code == 3 and "worse" in out


def test_bytes_are_judged_by_the_limit_alone(write, compare):
    def counted(count):
        return Figure(name="allocated", unit="bytes", p50=count)

    old = write("a.json", counted(1000))
    code, out, _ = compare(old, write("b.json", counted(1040)))
    assert code == 0 and " ? " in out and "worse" in out
    assert compare(old, write("b.json", counted(1060)))[0] == 3
    nothing = write("a.json", counted(0))
    assert compare(nothing, write("b.json", counted(0)))[0] == 0
    assert compare(nothing, write("b.json", counted(1)))[0] == 3
    assert compare(write("b.json", counted(1)), nothing)[0] == 0


def test_a_time_without_a_spread_is_shown_and_not_judged(write, compare):
    old, new = (Figure(name="a run", unit="ms", n=100, p50=value) for value in (10, 20))
    code, out, _ = compare(write("a.json", old), write("b.json", new))
    assert code == 0 and "+100.0%" in out and "noise unknown" in out


def test_between_machines_ratios_alone_are_judged_and_come_first(write, compare):
    def both(factor):
        ratio = figure("against PyTorch", SLOW, unit="x", better="higher", of="a run")
        return ms(SLOW * factor), ratio

    old = write("a.json", *both(1))
    code, out, _ = compare(old, write("b.json", *both(3), machine="another"))
    assert code == 0
    first, second = out.splitlines()[1:3]
    assert "against PyTorch" in first and "the same" in first
    assert "another machine" in second
    assert "warning: different machines" in out and "a board | another" in out
    slower = figure("against PyTorch", SLOW / 2, unit="x", better="higher", of="a run")
    assert compare(old, write("b.json", slower, machine="another"))[0] == 3


def test_what_has_no_partner_is_named(write, compare):
    old = write("a.json", ms(SLOW), ms(SLOW, "gone"))
    new = write("b.json", ms(SLOW), ms(SLOW, "born"))
    code, out, _ = compare(old, new)
    assert code == 0
    assert f"only in {old}: backends: gone" in out and f"only in {new}: backends: born" in out


def test_a_log_and_a_file_of_documents_are_read(write, compare, tmp_path):
    alone = write("a.json", ms(SLOW))
    log, several = tmp_path / "log.txt", tmp_path / "results.json"
    log.write_text(f"a table\n of figures\n{alone.read_text()}\n")
    several.write_text(
        json.dumps({"day": "2026-01-02", "documents": [json.loads(alone.read_text())]}, indent=1)
    )
    for path in (log, several):
        code, out, _ = compare(alone, path)
        assert code == 0 and "the same" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:200], "Unterminated string"),
        (lambda text: "", "no figures"),
        (lambda text: "[1, 2]", "no figures"),
        (lambda text: '{"n": 3}', "no figures"),
        (lambda text: text.replace('"p50"', '"p51"'), "p51"),
        (lambda text: text.replace('"day"', '"date"'), "day"),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_2(write, compare, change, words):
    good, bad = write("a.json", ms(SLOW)), write("b.json", ms(SLOW))
    bad.write_text(change(bad.read_text()))
    for pair in ((good, bad), (bad, good)):
        code, out, err = compare(*pair)
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and str(bad) in err and words in err and "fix: " in err


def test_files_that_share_nothing_end_with_2(write, compare):
    other = write("b.json", ms(SLOW, "x"), ms(SLOW, "y"), benchmark="stream")
    code, _, err = compare(write("a.json", ms(SLOW)), other)
    assert code == 2
    assert "share no figure" in err


@pytest.mark.parametrize("limit", ["-1%", "much", "nan", "inf"])
def test_an_invalid_limit(write, limit):
    path = str(write("a.json", ms(SLOW)))
    with pytest.raises(SystemExit) as ended:
        main([path, path, f"--max-regress={limit}"])
    assert ended.value.code == 2


def test_the_noise_is_the_scatter_of_medians():
    medians = [np.median(RNG.normal(100, 10, 50)) for _ in range(400)]
    near = np.percentile(np.abs(np.array(medians) - 100), 95) / 100
    typical = np.mean([ms(RNG.normal(100, 10, 50)).noise for _ in range(100)])
    assert typical == pytest.approx(near, rel=0.2)
