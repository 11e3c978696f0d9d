from __future__ import annotations

import importlib
import re
import sys

import pytest

measuring = importlib.import_module("scripts.measure_crop_speed")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["measure_crop_speed.py", "--device", "cpu", *arguments])
    measuring.main()
    return capsys.readouterr().out


def test_a_line_for_each_case(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(measuring, "PEAKS_BY", {"cpu": (64, 1 << 16)})
    small = ("--size", "32", "--precision", "32", "--modes", "eager", "--batches", "1,2", "-n", "3")
    printed = run(monkeypatch, capsys, *small)
    assert re.search(r"^U-Net mobilenet_v2, 32 px, 32: 0\.0\d GFLOP and \d.* in 6\d convolutions$", printed, re.M)
    for batch in (1, 2):
        found = re.search(rf"^eager +{batch} +(\d+) +([\d.]+)% +(\d+) +[\d.]+s$", printed, re.MULTILINE)
        assert found, printed
        assert all(float(number) > 0 for number in found.groups())


def test_what_fails_is_told_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = measuring.measure

    def without_compiler(case, card, crops, **options):  # type: ignore[no-untyped-def]
        if case.mode != "eager":
            raise RuntimeError("no compiler\nat line 3")
        return whole(case, card, crops, **options)

    monkeypatch.setattr(measuring, "PEAKS_BY", {"cpu": (64, 1 << 16)})
    monkeypatch.setattr(measuring, "measure", without_compiler)
    printed = run(monkeypatch, capsys, "--size", "32", "--modes", "eager,default", "--batches", "1", "-n", "1")
    assert re.search(r"^default +1  failed: no compiler$", printed, re.MULTILINE)
    assert re.search(r"^eager +1 +\d", printed, re.MULTILINE)
