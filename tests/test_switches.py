"""Switches of ``lamina.config``: what is printed, what tracebacks show, limits of ``fit``; helpers of ``utils``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import config, utils
from lamina.core.errors import ArgumentError, ShapeError

X, Y = np.ones((64, 2), np.float32), np.ones((64, 1), np.float32)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    config.enable_interactive_logging()
    config.enable_traceback_filtering()
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)


def model() -> Any:
    made = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_what_fit_says_can_be_logged(capsys: Any, caplog: Any) -> None:
    assert config.is_interactive_logging_enabled()
    model().fit(X, Y, verbose=2)
    assert "Epoch 1/1" in capsys.readouterr().out
    config.disable_interactive_logging()
    assert not config.is_interactive_logging_enabled()
    with caplog.at_level(logging.INFO, "lamina"):
        model().fit(X, Y, verbose=2)
    assert capsys.readouterr().out == "" and "Epoch 1/1" in caplog.text


def own_files(error: BaseException) -> list[str]:
    """The places inside Lamina that a traceback shows."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f.name for f in frames if "/lamina/" in f.filename.replace("src/", "/")]


def test_tracebacks_without_own_frames() -> None:
    layer = lamina.layers.Dense(1)
    layer(X)
    for run in (lambda: layer(X[:, :1]), lambda: model().fit(X[:, :1], Y, verbose=0)):
        with pytest.raises(ShapeError) as caught:
            run()
        assert len(own_files(caught.value)) == 1  # where it was raised
        config.disable_traceback_filtering()
        with pytest.raises(ShapeError) as caught:
            run()
        assert len(own_files(caught.value)) > 1
        config.enable_traceback_filtering()


def test_tracebacks_keep_frames_of_the_user() -> None:
    class Broken(lamina.layers.Layer):
        def call(self, x: Any) -> Any:
            return self.helper(x)

        def helper(self, x: Any) -> Any:
            raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        lamina.Sequential([Broken()])(X)
    names = [f.name for f in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["call", "helper"] and len(own_files(caught.value)) == 0


def test_limits_of_fit() -> None:
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (2, 3)
    with pytest.warns(UserWarning, match="is limited to"):
        history = model().fit(X, Y, epochs=5, batch_size=4, verbose=0)
    assert len(history.epoch) == 2 and history.params["steps"] == 3
    with pytest.raises(ArgumentError, match="max_epochs is a positive integer"):
        config.set_max_epochs(0)


def test_code_from_files_is_never_run() -> None:
    with pytest.warns(UserWarning, match="never runs code from a file"):
        config.enable_unsafe_deserialization()


def test_uids() -> None:
    config.clear_session()
    assert [config.get_uid("a"), config.get_uid("a"), config.get_uid("b")] == [1, 2, 1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [({}, "1.0000"), ({"stateful_metrics": ["v"]}, "2.0000"), ({"stateless_metrics": []}, "2.0000")],
)
def test_progress_of_own_loops(names: dict[str, Any], expected: str, capsys: Any) -> None:
    bar = utils.Progbar(2, interval=0.0, **names)
    bar.update(1, [("v", 0.0)])
    bar.add(1, [("v", 2.0)])
    assert f"v: {expected}" in capsys.readouterr().out.splitlines()[-1]


def test_other_progress(capsys: Any) -> None:
    utils.Progbar(None, verbose=1).update(3, [("list", [1.0, 2.0])], finalize=True)
    utils.Progbar(0, verbose=2).update(0, finalize=True)
    utils.Progbar(5, verbose=0).update(5)
    first, second = capsys.readouterr().out.splitlines()
    assert "3/Unknown" in first and "list: [1.0000, 2.0000]" in first and second.startswith("0/0")
    with pytest.raises(ArgumentError, match="Only one of"):
        utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


def test_settings() -> None:
    settings = utils.Config(a=1)
    settings.b = [2]
    settings.update(c=3)
    assert settings["b"] == [2] and "c" in settings and list(settings) == ["a", "b", "c"] and len(settings) == 3
    assert settings.pop("c") == 3 and settings.get("c") is None and settings.to_json() == '{"a": 1, "b": [2]}'
    settings.freeze()
    with pytest.raises(ArgumentError, match="frozen"):
        settings.a = 2
    settings.unfreeze()
    del settings.a
    assert list(settings.items()) == [("b", [2])]
    assert list(settings.keys()) == ["b"] and list(settings.values()) == [[2]]
    with pytest.raises(AttributeError, match="Unknown attribute: 'z'. There are: b."):
        _ = settings.z


def test_sources_of_placeholders() -> None:
    a, b = lamina.Input((2,)), lamina.Input((2,))
    assert utils.get_source_inputs(lamina.layers.Dense(1)(a * 2 + b)) == [a, b]
    assert utils.is_keras_tensor(a) and not utils.is_keras_tensor(X)
    assert utils.unpack_x_y_sample_weight(utils.pack_x_y_sample_weight(1, 2, 3)) == (1, 2, 3)
