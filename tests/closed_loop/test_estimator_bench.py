"""`./dbp bench estimator` on a short walk: every figure is there and is of that walk."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("mujoco")

from dbp_bringup.bench import estimator as bench  # noqa: E402
from dbp_policy.errors import DbpError  # noqa: E402


def test_a_short_bench_writes_all_figures(tmp_path, capsys):
    out = tmp_path / "estimator.json"
    assert bench.main(["--seeds", "1", "--seconds", "5", "--workers", "1", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert [row["friction"] for row in result["grounds"]] == list(bench.FRICTIONS)
    for row, run in zip(result["grounds"], result["runs"], strict=True):
        assert (run["friction"], run["walked_s"], run["fell"]) == (row["friction"], 5.0, False)
        assert set(row["cases"]) == set(run["cases"]) == set(bench.CASES)
        fused, flipped = row["cases"]["fused"], row["cases"]["flipped"]
        assert fused["rmse"] == pytest.approx(run["cases"]["fused"]["rmse"], rel=1e-4)
        assert all(0.0 < value < 0.1 for value in fused["rmse"])
        assert flipped["contacts_right"] == pytest.approx(bench.WRONG_CONTACTS, abs=0.04)
        assert flipped["contacts_right"] < fused["contacts_right"]
        assert 0.0 <= fused["nees_below_band"] + fused["nees_above_band"] <= 1.0
        assert run["cases"]["fused"]["invalid"] == 0
    assert result["update_us"] > 0.0
    assert "bench: 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("bad", [["--seeds", "0"], ["--seconds", "1"], ["--workers", "0"], ["--seconds", "nan"]])
def test_a_bench_of_nothing_is_refused(bad):
    with pytest.raises(DbpError, match="expected at least"):
        bench.main(bad)


def test_what_is_no_policy_is_refused(tmp_path):
    with pytest.raises(DbpError):
        bench.main(["--policy", str(tmp_path / "none.onnx"), "--seeds", "1", "--seconds", "5", "--workers", "1"])
