"""Dividing data: Keras's ``split_dataset``, and stratified, grouped and time-ordered validation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, DataError, ShapeError
from lamina.data import Dataset, Grouped, Pipeline, Stratified, Subset, TimeOrdered, split_dataset
from lamina.training.classes import class_numbers, tells_classes_apart

X = np.arange(40.0, dtype=np.float32).reshape(20, 2)
Y = np.arange(20)


def numbers(data: Any) -> list[int]:
    return [int(y) for _, y in data]


# --- split_dataset ------------------------------------------------------------------------------------
def test_sizes_and_shares() -> None:
    for left, right, expected in (
        (0.75, None, (15, 5)), (None, 0.25, (15, 5)), (15, None, (15, 5)), (0.5, 0.1, (10, 2)), (3, 4, (3, 4)),
    ):  # fmt: skip
        a, b = split_dataset((X, Y), left, right)
        assert (len(a), len(b)) == expected
        assert numbers(a) == list(range(expected[0])) and numbers(b) == list(range(20 - expected[1], 20))


def test_kinds_of_datasets() -> None:
    class Squares(Dataset):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> Any:
            return X[index], index

    for given in ((X, Y), [X, Y], Squares(), Pipeline.from_tensor_slices((X, Y))):
        a, b = split_dataset(given, 0.5)
        assert numbers(a) == list(range(10)) and numbers(b) == list(range(10, 20))
    assert isinstance(split_dataset(Squares(), 0.5)[0], Subset)
    assert isinstance(split_dataset((X, Y), 0.5, preferred_backend="torch")[0], Subset)
    batched = split_dataset(Pipeline.from_tensor_slices((X, Y)).batch(4).prefetch(1), 0.5)
    assert [y.tolist() for _, y in batched[0]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    by_name = split_dataset({"x": X, "y": Y}, right_size=2)[1]
    assert [int(e["y"]) for e in by_name] == [18, 19]


def test_mixed_pipelines_are_divided_once() -> None:
    a, b = split_dataset(Pipeline.from_tensor_slices((X, Y)).shuffle(20, seed=1), 0.5)
    assert sorted(numbers(a) + numbers(b)) == list(range(20)) and numbers(a) == numbers(a)


@pytest.mark.slow
def test_shuffled_split_is_that_of_keras() -> None:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    theirs = keras.utils.split_dataset((X, Y), 0.75, shuffle=True, seed=3, preferred_backend="tensorflow")
    ours = split_dataset((X, Y), 0.75, shuffle=True, seed=3)
    for a, b in zip(ours, theirs, strict=True):
        assert numbers(a) == numbers(b)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((None, None), "left_size"),
        ((0.0, None), "left_size"),
        ((1.5, None), "left_size"),
        ((20, None), "left_size"),
        ((None, -1), "right_size"),
        (("half", None), "Type"),
        ((0.7, 0.7), "greater than 1"),
        ((15, 6), "20"),
    ],
)
def test_sizes_that_do_not_fit(sizes: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        split_dataset((X, Y), *sizes)


def test_what_cannot_be_divided() -> None:
    with pytest.raises(ArgumentError, match="generator"):
        split_dataset((x for x in X), 0.5)
    with pytest.raises(ArgumentError, match="empty"):
        split_dataset((), 0.5)


# --- validation ---------------------------------------------------------------------------------------
def test_stratified() -> None:
    y = np.array([0] * 50 + [1] * 30 + [2] * 20)
    train, held = Stratified(0.2, seed=1).indices(100, y)
    assert np.bincount(y[held]).tolist() == [10, 6, 4] and sorted([*train, *held]) == list(range(100))
    assert Stratified(0.2, seed=1).indices(100, y)[1].tolist() == held.tolist()
    assert Stratified(0.2, seed=2).indices(100, y)[1].tolist() != held.tolist()
    rare = np.array([0] * 97 + [1] * 3)
    assert np.bincount(rare[Stratified(0.1, seed=0).indices(100, rare)[1]]).tolist() == [9, 1]
    for many in range(2, 9):
        y = np.arange(60) % many
        assert len(Stratified(0.25, seed=0).indices(60, y)[1]) == 15
    one_hot = np.eye(3)[np.arange(30) % 3]
    assert np.bincount(one_hot[Stratified(0.2).indices(30, one_hot)[1]].argmax(1)).tolist() == [2, 2, 2]
    with pytest.raises(DataError, match="Class 7 has one sample"):
        Stratified(0.5).indices(3, np.array([1, 1, 7]))
    with pytest.raises(DataError, match="classes"):
        Stratified(0.5).indices(3, np.array([0.1, 0.2, 0.3]))
    with pytest.raises(ShapeError):
        Stratified(0.5, labels=[1, 2]).indices(3)


def test_grouped() -> None:
    groups = np.random.default_rng(0).integers(0, 12, 200)
    train, held = Grouped(0.3, groups, seed=0).indices(200)
    assert not set(groups[train]) & set(groups[held]) and sorted([*train, *held]) == list(range(200))
    assert abs(len(held) / 200 - 0.3) < 0.1
    with pytest.raises(DataError, match="two groups"):
        Grouped(0.3, ["a", "a"]).indices(2)


def test_time_ordered() -> None:
    times = np.array([5, 1, 4, 2, 3, 3])
    train, held = TimeOrdered(0.5, times).indices(6)
    assert train.tolist() == [1, 3] and held.tolist() == [0, 2, 4, 5]  # the two at time 3 stay together
    train, held = TimeOrdered(0.5, gap=2).indices(10)
    assert train.tolist() == [0, 1, 2] and held.tolist() == [5, 6, 7, 8, 9]
    with pytest.raises(ArgumentError, match="neither may be empty"):
        TimeOrdered(0.5, gap=5).indices(10)
    with pytest.raises(ArgumentError):
        TimeOrdered(1.5)
    with pytest.raises(ArgumentError):
        TimeOrdered(0.5, gap=-1)


def test_split_as_a_function() -> None:
    x_train, x_held, y_train, y_held = TimeOrdered(0.25)(X, Y)
    assert x_train.shape == (15, 2) and y_held.tolist() == [15, 16, 17, 18, 19] and x_held[0, 0] == 30
    assert len(y_train) == 15


def classifier(loss: str = "sparse_categorical_crossentropy") -> Any:
    model = lamina.Sequential([lamina.Input((2,)), layers.Dense(4, "softmax")])
    model.compile("sgd", loss)
    return model


def test_fit_takes_ways_to_split() -> None:
    y = np.repeat(np.arange(4), 5)
    one, other = classifier(), classifier()
    other.set_weights(one.get_weights())
    split = Stratified(0.2, seed=3)
    train, held = split.indices(20, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = one.fit(X, y, validation_split=split, shuffle=False, verbose=0, preflight=False)
        options = {"validation_data": (X[held], y[held]), "shuffle": False, "verbose": 0, "preflight": False}
        expected = other.fit(X[train], y[train], **options)
    assert history.history == expected.history


def test_a_class_that_is_missing_on_one_side_is_told() -> None:
    y = np.repeat(np.arange(4), 5)
    with pytest.warns(UserWarning, match="(no sample of class 3 to train on|to validate on)"):
        classifier().fit(X, y, validation_split=0.25, verbose=0)
    with pytest.warns(UserWarning, match=r"classes 0, 1, 2 to validate on.*Stratified"):
        classifier("categorical_crossentropy").fit(X, np.eye(4)[y], validation_split=0.2, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lamina.random.seed(0)
        model = lamina.Sequential([lamina.Input((2,)), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(X / 40, y, validation_split=0.25, verbose=0)  # counts are no classes


def test_what_are_classes() -> None:
    assert class_numbers(np.array(["a", "b"], object)).tolist() == ["a", "b"]  # type: ignore[union-attr]
    assert class_numbers(np.array([[1.0], [0.0]])).tolist() == [1, 0]  # type: ignore[union-attr]
    assert class_numbers(np.array([0.5, 1.0])) is None and class_numbers(np.ones((3, 2))) is None
    assert tells_classes_apart(lamina.losses.BinaryCrossentropy()) and tells_classes_apart({"a": "hinge"})
    assert not tells_classes_apart(["mse", None])
