"""Learning curves as files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lamina.core.errors import ArgumentError, MissingExtraError
from lamina.plotting import plot_history

HISTORY = {
    "accuracy": [0.5, 0.7, 0.8],
    "loss": [1.0, 0.6, 0.4],
    "val_accuracy": [0.4, 0.6, 0.7],
    "val_loss": [1.1, 0.8, 0.7],
}


@pytest.fixture
def _matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="plotting needs the extra 'plot'")


@pytest.mark.usefixtures("_matplotlib")
class TestPlotHistory:
    @pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
    def test_writes_a_file(self, tmp_path: Path, ending: str, magic: bytes) -> None:
        plot_history(HISTORY, tmp_path / f"curves.{ending}")
        assert (tmp_path / f"curves.{ending}").read_bytes().startswith(magic)

    def test_one_panel_each_and_the_loss_first(self) -> None:
        figure = plot_history(HISTORY, title="digits")
        assert [panel.get_title(loc="left") for panel in figure.axes] == ["loss", "accuracy"]
        for panel, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
            assert [list(line.get_ydata()) for line in panel.lines] == [HISTORY[name], HISTORY[f"val_{name}"]]
            assert list(panel.lines[0].get_xdata()) == [1, 2, 3]

    def test_chosen_names_and_no_validation(self) -> None:
        figure = plot_history({"loss": [1.0], "mae": [2.0]}, names=["mae"])
        assert len(figure.axes) == 1 and len(figure.axes[0].lines) == 1

    def test_the_last_row_may_not_be_full(self) -> None:
        figure = plot_history({"loss": [1.0], "a": [1.0], "b": [1.0], "c": [1.0]})
        assert [panel.get_visible() for panel in figure.axes] == [True] * 4 + [False] * 2

    def test_bad_requests(self) -> None:
        with pytest.raises(ArgumentError, match="no 'f1'; it has: accuracy, loss"):
            plot_history(HISTORY, names=["f1"])
        with pytest.raises(ArgumentError, match="at least one epoch"):
            plot_history({})


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"lamina\[plot\]"):
        plot_history(HISTORY)
