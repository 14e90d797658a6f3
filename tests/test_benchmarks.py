"""Benchmarks run as they did: what they leave out of a worker is missed by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import product


@pytest.mark.process
def test_the_join_alone_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "PAIRS", 60)
    figures = product.join(1.0, 50, tmp_path)
    assert figures["per_second"] > 0
