"""README's examples run and print what it says."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="README trains on scikit-learn's digits")
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(README.read_text(encoding="utf-8"), {}, "README", str(README), 0)
    assert len(test.examples) > 20
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
    assert not failed, "".join(report)
