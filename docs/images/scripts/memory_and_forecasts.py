"""Where the heads of the neural Turing machine are, and forecasts of carbon dioxide: docs/learning.md."""

from __future__ import annotations

import numpy as np
from common import example, save

import lamina
from lamina.plotting.figures import color_of, new_figure, style


def heads() -> None:
    """What a copy of 20 rows is made of."""
    machine = example("learning.copy_task")
    model, _ = machine.train(10, verbose=0)
    x, _, _ = machine.sequences(1, machine.LONGER, machine.LONGER, seed=1)
    cell = model.layers[0].cell
    states, outputs, reading, writing = cell.get_initial_state(1), [], [], []
    for t in range(x.shape[1]):
        output, states = cell(lamina.asarray(x[:, t]), states)
        outputs.append(output.numpy()[0])
        reading.append(states[2].numpy()[0])
        writing.append(states[3].numpy()[0])
    parts = {
        "given": x[0],
        "copied": np.array(outputs) * (np.arange(x.shape[1]) > machine.LONGER)[:, None],
        "where it writes": np.array(writing),
        "where it reads": np.array(reading),
    }
    figure, panels = new_figure(2, 2, (4.5, 2.1), "the picture")
    for panel, (title, values) in zip(panels, parts.items(), strict=True):
        panel.imshow(values.T, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        style(panel, title, "step" if "where" in title else "", "slot" if "where" in title else "bit")
        panel.grid(False)
    save(figure, "memory")


def forecasts() -> None:
    """Four years of the test."""
    forecasting = example("learning.forecasting")
    model, _ = forecasting.train(20, verbose=0, kind="convolution")
    seen, targets = (np.concatenate(parts) for parts in zip(*forecasting.data()[1], strict=True))
    weeks = lamina.datasets.mauna_loa.load_series()[0][-len(targets) :]
    figure, (panel,) = new_figure(1, 1, (9, 3.6), "the picture")
    shown = slice(-208, None)
    panel.plot(weeks[shown], targets[shown, 0], color="0.3", label="measured")
    panel.plot(weeks[shown], model.predict(seen, verbose=0)[shown, 0], color=color_of(0), label="convolution")
    panel.plot(weeks[shown], seen[shown, -1], color=color_of(1), linestyle=":", label="nothing changes")
    style(panel, f"Carbon dioxide, forecast {forecasting.AHEAD} weeks ahead", "", "ppm")
    panel.legend(frameon=False)
    save(figure, "forecasts")


if __name__ == "__main__":
    heads()
    forecasts()
