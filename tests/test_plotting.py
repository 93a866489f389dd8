"""Learning curves as files."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.callbacks import History
from lamina.core.errors import ArgumentError, MissingExtraError, ShapeError
from lamina.plotting import confusion_matrix, plot_activations, plot_confusion_matrix, plot_history
from lamina.plotting.functions import USUAL

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


def overfitted() -> History:
    history = History()
    history.history = {"loss": [3, 2, 1, 0.5, 0.2, 0.1], "val_loss": [3, 2, 1.5, 1.7, 1.9, 2.2]}
    history.epoch = list(range(6))
    return history


class TestHistory:
    def test_where_overfitting_began(self) -> None:
        assert overfitted().overfitting_from() == 2
        for loss, val_loss in (
            ([3, 2, 1, 0.5, 0.2], [3, 2, 1.5, 1.4, 1.3]),  # still learning
            ([3, 2, 1, 0.5, 0.2], [3, 2, 1.5, 1.502, 1.501]),  # as good as before
            ([3, 2, 1, 1.2, 1.4, 1.5], [3, 2, 1.5, 1.7, 1.9, 2.2]),  # the training loss grows too: something else
            ([3, 2, 1], [3, 2, 2.5]),  # too early to say
            ([3, 2, 1, 0.5], [3, 1, float("nan"), float("nan")]),
        ):
            history = History()
            history.history = {"loss": loss, "val_loss": val_loss}
            assert history.overfitting_from() is None, (loss, val_loss)
        assert History().overfitting_from() is None

    def test_epochs_count_from_where_training_began(self) -> None:
        history = overfitted()
        history.epoch = list(range(10, 16))
        assert history.overfitting_from() == 12

    def test_the_training_loss_as_validation_measures_it(self) -> None:
        history = overfitted()
        history.history["train_loss"] = [3, 2, 1, 1.2, 1.4, 1.5]
        assert history.overfitting_from() is None
        history.history["train_loss"] = [3, 2, 1, 0.9, 0.8, 0.7]
        assert history.overfitting_from() == 2

    @pytest.mark.usefixtures("_matplotlib")
    def test_series_of_one_measure_share_a_panel(self) -> None:
        values = {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "train_loss": [1.8, 0.9], "train_speed": [1.0, 1.0]}
        figure = plot_history(values)
        assert [panel.get_title(loc="left") for panel in figure.axes] == ["loss", "train speed"]
        assert [line.get_label() for line in figure.axes[0].lines] == ["training", "training, evaluated", "validation"]

    @pytest.mark.usefixtures("_matplotlib")
    def test_it_draws_itself(self, tmp_path: Path) -> None:
        model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        history = model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, validation_split=0.5, verbose=0)
        figure = history.plot(tmp_path / "curves.png", title="a line")
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert [panel.get_title(loc="left") for panel in figure.axes] == ["loss", "mae"]
        assert len(overfitted().plot().axes[0].lines) == 3  # with the line where overfitting began

    @pytest.mark.usefixtures("_matplotlib")
    def test_in_a_notebook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        page = overfitted()._repr_html_()
        assert "<td>1.5 (epoch 3)</td>" in page and "Overfitting from epoch 3 on." in page
        assert base64.b64decode(page.split("base64,")[1].split("'")[0]).startswith(b"\x89PNG")
        monkeypatch.setitem(sys.modules, "matplotlib.ticker", None)
        assert "<table>" in overfitted()._repr_html_() and "<img" not in overfitted()._repr_html_()
        assert "train first" in History()._repr_html_()


class TestConfusionMatrix:
    def test_counts(self) -> None:
        true, scores = [0, 0, 1, 2, 2, 2], np.eye(3)[[0, 1, 1, 2, 2, 0]]
        expected = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
        assert confusion_matrix(true, scores).tolist() == expected
        assert confusion_matrix(np.eye(3)[true], [0, 1, 1, 2, 2, 0]).tolist() == expected
        assert confusion_matrix([[0], [1], [1]], [[0.2], [0.7], [0.4]]).tolist() == [[1, 0], [1, 1]]
        assert confusion_matrix([0], [0], num_classes=2).tolist() == [[1, 0], [0, 0]]
        with pytest.raises(ShapeError, match="2 labels and 1"):
            confusion_matrix([0, 1], [0])
        with pytest.raises(ArgumentError, match="labels run from 0 to 5"):
            confusion_matrix([0, 5], [0, 1], num_classes=2)

    @pytest.mark.usefixtures("_matplotlib")
    def test_drawing(self, tmp_path: Path) -> None:
        figure = plot_confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], ["cat", "dog", "emu"], tmp_path / "matrix.png")
        [panel] = figure.axes
        assert [t.get_text() for t in panel.texts] == ["1", "0", "0", "0", "1", "1", "0", "0", "1"]
        assert [t.get_text() for t in panel.get_yticklabels()] == ["cat", "dog", "emu"]
        assert panel.get_title(loc="left") == "3 of 4 right" and (tmp_path / "matrix.png").stat().st_size > 1000
        shares = plot_confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], normalize=True).axes[0].texts
        assert [t.get_text() for t in shares][4:6] == [".50", ".50"]


@pytest.mark.usefixtures("_matplotlib")
class TestActivations:
    @pytest.mark.parametrize("name", USUAL)
    def test_derivatives_are_slopes(self, name: str) -> None:
        panel = plot_activations([name]).axes[0]
        x, y = panel.lines[2].get_data()
        _, slope = panel.lines[3].get_data()
        measured = np.gradient(y, x)
        smooth = np.abs(np.diff(measured, prepend=measured[0], append=measured[-1])).reshape(-1)
        calm = (smooth[:-1] < 0.02) & (smooth[1:] < 0.02)  # away from kinks
        assert calm.sum() > 700 and np.allclose(slope[calm], measured[calm], atol=0.03)

    def test_own_functions_and_mistakes(self, tmp_path: Path) -> None:
        def cube(x: Any) -> Any:
            return x**3

        figure = plot_activations([cube, "relu"], tmp_path / "a.svg", derivatives=False)
        assert [panel.get_title(loc="left") for panel in figure.axes] == ["cube", "relu"]
        assert len(figure.axes[0].lines) == 3 and (tmp_path / "a.svg").exists()
        with pytest.raises(ArgumentError, match="reluu"):
            plot_activations(["reluu"])
        with pytest.raises(ArgumentError, match="nothing to draw"):
            plot_activations(["relu"], low=1, high=-1)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"lamina\[plot\]"):
        plot_history(HISTORY)
