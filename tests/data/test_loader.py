"""Datasets, samplers and ``DataLoader``: PyTorch's habits, keyed random numbers, and a state."""

from __future__ import annotations

import collections
import copy
import itertools
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from loader_datasets import Noisy, Stream

import lamina
from lamina.core.errors import ArgumentError, DataError, DTypeError, OutOfBoundsError, ShapeError
from lamina.core.trees import flatten
from lamina.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Pipeline,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)
from lamina.data.keys import generator_from, seed_from

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20)


def lists(batches: Any) -> Any:
    return [[np.asarray(leaf).tolist() for leaf in flatten(batch)[0]] for batch in batches]


class Squares(Dataset):
    def __init__(self, size: int = 20) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        return X[index], index**2


# --- datasets -----------------------------------------------------------------------------------------
def test_tensor_dataset() -> None:
    data = TensorDataset(X, lamina.tensor(Y), np.array([f"s{i}" for i in range(20)]))
    x, y, name = data[3]
    assert x.tolist() == X[3].tolist() and int(y) == 3 and name == "s3"
    assert [t.shape for t in data.tensors[:2]] == [(20, 3), (20,)]
    assert TensorDataset(X).gather(slice(2, 4))[0].tolist() == X[2:4].tolist()
    with pytest.raises(ShapeError, match=r"\[20, 19\]"):
        TensorDataset(X, Y[1:])
    with pytest.raises(ShapeError, match="first axis"):
        TensorDataset(np.float32(3))


def test_subsets_and_sums() -> None:
    even = Subset(TensorDataset(X, Y), range(0, 20, 2))
    nested = Subset(even, [1, 3])
    assert [int(y) for _, y in nested] == [2, 6]
    assert lists(DataLoader(nested, 2)) == [[X[[2, 6]].tolist(), [2, 6]]]
    both = Squares(3) + even
    assert isinstance(both, ConcatDataset) and len(both) == 13
    assert [int(both[i][1]) for i in (0, 2, 3, -1)] == [0, 4, 0, 18]
    with pytest.raises(OutOfBoundsError):
        both[13]
    with pytest.raises(ArgumentError, match="ChainDataset"):
        ConcatDataset([Stream()])
    assert [i for i, _ in ChainDataset([Stream(2), Stream(1)])] == [0, 1, 0]
    assert len(list(Stream(2) + Stream(3))) == 5
    stacked = StackDataset(Squares(3), [7, 8, 9])
    assert stacked[1][1] == 8 and len(stacked) == 3
    with pytest.raises(ArgumentError, match=r"\[3, 2\]"):
        StackDataset([1, 2, 3], [1, 2])


def test_random_split() -> None:
    parts = random_split(Squares(), [0.5, 0.3, 0.2], generator=3)
    assert [len(p) for p in parts] == [10, 6, 4]
    indices = [list(p.indices) for p in parts]
    assert sorted(itertools.chain.from_iterable(indices)) == list(range(20))
    assert indices == [list(p.indices) for p in random_split(Squares(), [10, 6, 4], generator=3)]
    assert [len(p) for p in random_split(range(10), [1 / 3, 1 / 3, 1 / 3], generator=0)] == [4, 3, 3]
    for lengths in ([10, 5], [0.5, 0.6], [-1, 21]):
        with pytest.raises(ArgumentError, match="sum"):
            random_split(Squares(), lengths)


# --- samplers -----------------------------------------------------------------------------------------
def test_samplers() -> None:
    assert list(SequentialSampler(Squares(4))) == [0, 1, 2, 3]
    sampler = RandomSampler(Squares(50), generator=1)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert first == list(RandomSampler(Squares(50), generator=1))
    assert len(list(RandomSampler(Squares(5), num_samples=12))) == 12
    drawn = list(RandomSampler(Squares(5), replacement=True, num_samples=400, generator=0))
    assert set(drawn) == set(range(5)) and len(drawn) == 400
    assert sorted(SubsetRandomSampler([3, 9])) == [3, 9]
    weighted = np.bincount(list(WeightedRandomSampler([1, 0, 3], 4000, generator=0)), minlength=3) / 4000
    np.testing.assert_allclose(weighted, [0.25, 0, 0.75], atol=0.03)
    assert sorted(WeightedRandomSampler([1, 0, 3], 2, replacement=False, generator=0)) == [0, 2]
    assert list(BatchSampler("abcde", 2, drop_last=True)) == [["a", "b"], ["c", "d"]]
    assert len(BatchSampler(range(5), 2)) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler(range(3), num_samples=0),
        lambda: RandomSampler(range(3), replacement=1),  # type: ignore[arg-type]
        lambda: WeightedRandomSampler([0, 0], 1),
        lambda: WeightedRandomSampler([-1, 2], 1),
        lambda: WeightedRandomSampler([0, 2], 2, replacement=False),
        lambda: BatchSampler(range(3), 0),
        lambda: DataLoader(range(3), batch_size=0),
        lambda: DataLoader(range(3), shuffle=True, sampler=[0]),
        lambda: DataLoader(range(3), batch_size=2, batch_sampler=[[0]]),
        lambda: DataLoader(range(3), batch_size=None, drop_last=True),
        lambda: DataLoader(range(3), num_workers=-1),
        lambda: DataLoader(range(3), prefetch_factor=2),
        lambda: DataLoader(range(3), persistent_workers=True),
        lambda: DataLoader(range(3), timeout=-1),
        lambda: DataLoader(range(3), seed=1, generator=2),
        lambda: DataLoader(Stream(), shuffle=True),
        lambda: DataLoader(Stream(), sampler=[0]),
        lambda: seed_from("seven"),
        lambda: list(DataLoader(range(3), num_workers=1, multiprocessing_context="threads")),
    ],
)
def test_arguments_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()


def test_seeds_from_generators() -> None:
    assert seed_from(-1) == 2**64 - 1
    assert seed_from(np.random.default_rng(1)) == seed_from(np.random.default_rng(1))
    assert seed_from(np.random.RandomState(1)) != seed_from(np.random.RandomState(2))
    assert seed_from(lamina.random.Generator(4)) == seed_from(lamina.random.Generator(4))
    lamina.random.seed(3)
    first = lists(DataLoader(Squares(), 4, shuffle=True))
    lamina.random.seed(3)
    assert lists(DataLoader(Squares(), 4, shuffle=True)) == first
    own = np.random.default_rng(0)
    assert generator_from(own) is own


# --- batches ------------------------------------------------------------------------------------------
Point = collections.namedtuple("Point", "x y")


def test_collate() -> None:
    batch = default_collate([{"a": X[0], "b": (1, 2.5, "s", np.int8(3))}, {"a": X[1], "b": (2, 1.5, "t", np.int8(4))}])
    assert batch["a"].shape == (2, 3) and batch["a"].dtype == np.float32
    ints, floats, strings, small = batch["b"]
    assert (ints.dtype, floats.dtype, small.dtype) == (np.int64, np.float32, np.int8) and strings == ["s", "t"]
    assert isinstance(default_collate([Point(1, 2), Point(3, 4)]), Point)
    assert default_collate([True, False]).dtype == bool
    assert default_collate([lamina.tensor([1.0]), lamina.tensor([2.0])]).tolist() == [[1.0], [2.0]]
    with pytest.raises(ShapeError, match=r"sample 1 .*\(2,\).*\(3,\)"):
        default_collate([np.zeros(3), np.zeros(2)])
    with pytest.raises(DataError, match="sample 1"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(DataError, match="keys"):
        default_collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DTypeError, match="object.*collate_fn"):
        default_collate([object()])
    with pytest.raises(DataError):
        default_collate([])
    converted = default_convert({"x": X, "n": (1, "a"), "p": Point(np.int32(1), None)})
    assert converted["n"] == [1, "a"] and converted["p"].x.dtype == np.int32


def test_loader_agrees_with_that_of_pytorch() -> None:
    torch_data = pytest.importorskip("torch.utils.data")

    class Samples:
        def __len__(self) -> int:
            return 7

        def __getitem__(self, i: int) -> Any:
            return {"x": X[i], "y": i, "both": (X[i, 0], [i, i + 1]), "name": f"n{i}"}

    for options in (
        {"batch_size": 3},
        {"batch_size": 3, "drop_last": True},
        {"batch_size": None},
        {"sampler": [4, 1, 2]},
        {"batch_sampler": [[0, 1], [5]]},
        {"batch_size": 2, "collate_fn": lambda samples: [s["y"] for s in samples]},
    ):
        ours, theirs = DataLoader(Samples(), **options), torch_data.DataLoader(Samples(), **options)  # type: ignore[arg-type]
        assert len(ours) == len(theirs)
        for a, b in itertools.zip_longest(ours, theirs):
            leaves_a, structure_a = flatten(a)
            leaves_b, structure_b = flatten(b)
            assert structure_a == structure_b or options["batch_size"] is None  # theirs leaves tuples as they are
            for one, other in zip(leaves_a, leaves_b, strict=True):
                assert np.asarray(one).tolist() == np.asarray(other).tolist()


def test_datasets_and_loaders_of_pytorch_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    x, y = next(iter(DataLoader(data, 4)))
    assert x.tolist() == X[:4].tolist() and y.dtype == np.int64
    assert [b[1].tolist() for b in Pipeline.from_dataset(torch.utils.data.DataLoader(data, 15)).skip(1)] == [
        list(range(15, 20))
    ]
    assert [int(y) for _, y in Pipeline.from_dataset(data).take(2)] == [0, 1]


def test_streams() -> None:
    assert [b[0].tolist() for b in DataLoader(Stream(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert [float(x) for x in DataLoader((i / 2 for i in range(3)), batch_size=None)] == [0, 0.5, 1]

    class Sized(IterableDataset):
        def __len__(self) -> int:
            return 5

        def __iter__(self) -> Iterator[int]:
            return iter(range(5))

    assert len(DataLoader(Sized(), 2)) == 3
    with pytest.raises(TypeError):
        len(DataLoader(Stream(), 2))


def test_samplers_of_a_users_own() -> None:
    class Backwards(Sampler):
        def __iter__(self) -> Iterator[int]:
            order = list(range(6))
            random.shuffle(order)
            return iter(order)

        def __len__(self) -> int:
            return 6

    loader = DataLoader(Squares(6), 2, sampler=Backwards(), seed=4)
    first = iter(loader)
    next(first)
    state = loader.state_dict()
    rest = lists(first)
    again = DataLoader(Squares(6), 2, sampler=Backwards())
    again.load_state_dict(state)
    assert lists(again) == rest
    assert len(rest) == 2


def test_many_at_once_where_the_dataset_can() -> None:
    calls = []

    class AtOnce(Squares):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            calls.append(indices)
            return [self[i] for i in indices]

    assert lists(DataLoader(AtOnce(4), 3)) == lists(DataLoader(Squares(4), 3))
    assert calls == [[0, 1, 2], [3]]


# --- random numbers and the state -----------------------------------------------------------------------
def test_random_numbers_depend_on_seed_epoch_and_index() -> None:
    def noise(loader: DataLoader) -> dict[int, float]:
        return {
            int(i): float(n) for b in loader for i, n in zip(b["label"].tolist(), b["noise"][0].tolist(), strict=True)
        }

    ordered, mixed = DataLoader(Noisy(20, 4), 4, seed=1), DataLoader(Noisy(20, 4), 5, shuffle=True, seed=1)
    first = noise(ordered)
    assert noise(mixed) == first  # whatever the batch they are in
    assert noise(ordered) != first  # the next epoch
    assert noise(DataLoader(Noisy(20, 4), 4, seed=2)) != first


def test_random_states_of_the_program_stay_as_they_were() -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    list(DataLoader(Noisy(4, 4), 2, shuffle=True))
    assert (random.random(), np.random.rand()) == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(TensorDataset(X, Y), 3, shuffle=True),
        lambda: DataLoader(TensorDataset(X, Y), 3, drop_last=True),
        lambda: DataLoader(Noisy(20, 4), 3, shuffle=True),
        lambda: DataLoader(Noisy(20, 4), None),
        lambda: DataLoader(Stream(20), 3),
        lambda: DataLoader(Squares(), 4, sampler=WeightedRandomSampler(np.arange(1, 21), 18)),
        lambda: DataLoader(Squares(), batch_sampler=BatchSampler(RandomSampler(Squares(), generator=1), 6)),
        lambda: DataLoader(Pipeline.range(20).map(lambda x: x + 1).shuffle(7), 3),
    ],
)
def test_a_loader_goes_on_at_any_batch(make: Any) -> None:
    lamina.random.seed(5)
    loader = make()
    list(loader)  # an epoch before
    states, batches = [loader.state_dict()], []
    for batch in loader:
        batches.append(lists([batch]))
        states.append(json.loads(json.dumps(loader.state_dict())))
    following = [lists([b]) for b in loader]
    for i, state in enumerate(states):
        other = make()
        other.load_state_dict(state)
        assert [lists([b]) for b in other] == batches[i:]
        assert [lists([b]) for b in other] == following
    with pytest.raises(ArgumentError, match="'epoch'"):
        loader.load_state_dict({"batch": 3})


def test_batches_of_arrays_cost_no_python_for_each_sample() -> None:
    """The time for batches hardly grows with the rows in them."""
    data = TensorDataset(np.zeros((200_000, 1), np.float32))

    def seconds(batch_size: int) -> float:
        loader = DataLoader(data, batch_size, shuffle=True, seed=0)
        started = time.process_time()
        for _ in itertools.islice(loader, 40):
            pass
        return time.process_time() - started

    assert min(seconds(4000) for _ in range(3)) < 20 * max(min(seconds(40) for _ in range(3)), 1e-3)


def test_copies_begin_where_the_loader_is() -> None:
    loader = DataLoader(TensorDataset(X, Y), 3, shuffle=True, seed=2)
    batches = iter(loader)
    next(batches)
    again = copy.deepcopy(loader)
    assert lists(again) == lists(batches)
