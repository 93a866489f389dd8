"""``Pipeline``: the meaning of each stage, its order, and its state."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, DataError, FileFormatError, ShapeError
from lamina.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Options, Pipeline, rng

# Made with Pipeline here and with tf.data.Dataset in the slow test below; and what both give.
CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "range": (lambda P: P.range(5, 0, -2), [5, 3, 1]),
    "tensors": (lambda P: P.from_tensors([1, 2]).repeat(2), [[1, 2], [1, 2]]),
    "slices": (lambda P: P.from_tensor_slices(([1, 2], {"a": [3.0, 4.0]})), [(1, {"a": 3.0}), (2, {"a": 4.0})]),
    "batch": (lambda P: P.range(5).batch(2), [[0, 1], [2, 3], [4]]),
    "batch_drop": (lambda P: P.range(5).batch(2, drop_remainder=True), [[0, 1], [2, 3]]),
    "batches_of_batches": (lambda P: P.range(6).batch(2).batch(2), [[[0, 1], [2, 3]], [[4, 5]]]),
    "rebatch": (lambda P: P.range(10).batch(4).rebatch(3), [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),
    "unbatch": (lambda P: P.range(5).batch(3).unbatch(), [0, 1, 2, 3, 4]),
    "padded": (
        lambda P: P.range(1, 5).interleave(lambda n: P.range(n).batch(9), 1).padded_batch(3),
        [[[0, 0, 0], [0, 1, 0], [0, 1, 2]], [[0, 1, 2, 3]]],
    ),
    "padded_to": (
        lambda P: P.range(1, 3).flat_map(lambda n: P.range(n).batch(9)).padded_batch(2, [4], np.int64(-1)),
        [[[0, -1, -1, -1], [0, 1, -1, -1]]],
    ),
    "map": (lambda P: P.range(2).map(lambda x: (x, x * 2)).map(lambda a, b: {"s": a + b}), [{"s": 0}, {"s": 3}]),
    "filter": (lambda P: P.range(10).filter(lambda x: x % 2 == 1), [1, 3, 5, 7, 9]),
    "take_skip": (lambda P: P.range(10).skip(2).take(3), [2, 3, 4]),
    "take_all": (lambda P: P.range(3).take(-1).skip(1), [1, 2]),
    "skip_all": (lambda P: P.range(3).skip(-1), []),
    "take_while": (lambda P: P.range(10).take_while(lambda x: x < 4), [0, 1, 2, 3]),
    "repeat_mid": (lambda P: P.range(3).repeat(2).batch(4), [[0, 1, 2, 0], [1, 2]]),
    "repeat_none": (lambda P: P.range(3).repeat(0), []),
    "shard": (lambda P: P.range(10).shard(3, 1), [1, 4, 7]),
    "shard_mid": (lambda P: P.range(10).shard(3, 1).repeat(2).skip(2).batch(2, drop_remainder=True), [[7, 1], [4, 7]]),
    "enumerate": (lambda P: P.from_tensor_slices([5, 6]).enumerate(3), [(3, 5), (4, 6)]),
    "zip": (lambda P: P.zip((P.range(3), P.range(5, 7))), [(0, 5), (1, 6)]),
    "zip_dict": (lambda P: P.zip({"u": P.range(2), "v": P.range(2).map(lambda x: (x, x))}), [
        {"u": 0, "v": (0, 0)}, {"u": 1, "v": (1, 1)},
    ]),
    "concatenate": (lambda P: P.range(3).concatenate(P.range(7, 9)).skip(2), [2, 7, 8]),
    "flat_map": (lambda P: P.range(4).flat_map(lambda x: P.range(x)), [0, 0, 1, 0, 1, 2]),
    "interleave": (
        lambda P: P.range(1, 6).interleave(lambda x: P.from_tensors(x).repeat(6), cycle_length=2, block_length=4),
        [1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5],
    ),
    "interleave_uneven": (
        lambda P: P.range(5).interleave(lambda x: P.range(x), cycle_length=3, block_length=1),
        [0, 0, 0, 1, 1, 0, 2, 1, 2, 3],
    ),
    "window": (lambda P: P.range(7).window(3, shift=2).flat_map(lambda w: w.batch(3)), [
        [0, 1, 2], [2, 3, 4], [4, 5, 6], [6],
    ]),
    "window_stride": (
        lambda P: P.range(12).window(3, shift=4, stride=2, drop_remainder=True).flat_map(lambda w: w.batch(3)),
        [[0, 2, 4], [4, 6, 8]],
    ),
    "window_gaps": (lambda P: P.range(20).window(3, shift=8).flat_map(lambda w: w.batch(3)), [
        [0, 1, 2], [8, 9, 10], [16, 17, 18],
    ]),
    "choose": (
        lambda P: P.choose_from_datasets(
            [P.range(3), P.range(10, 20)], P.from_tensor_slices(np.array([0, 1, 1, 0, 0, 0, 1]))
        ),
        [0, 10, 11, 1, 2],
    ),
    "scan": (lambda P: P.range(4).scan(np.int64(0), lambda s, x: (s + x, s)), [0, 0, 1, 3]),
    "unique": (lambda P: P.from_tensor_slices([1, 3, 1, 2, 3]).unique(), [1, 3, 2]),
    "group_by_window": (
        lambda P: P.range(7).group_by_window(lambda x: x % 2, lambda key, group: group.batch(2), window_size=2),
        [[0, 2], [1, 3], [4, 6], [5]],
    ),
    "cache": (lambda P: P.range(3).map(lambda x: x + 1).cache().repeat(2), [1, 2, 3, 1, 2, 3]),
    "prefetch": (lambda P: P.range(3).map(lambda x: x + 1, num_parallel_calls=3).prefetch(2), [1, 2, 3]),
}  # fmt: skip


def plain(element: Any) -> Any:
    if isinstance(element, tuple):
        return tuple(plain(part) for part in element)
    if isinstance(element, dict):
        return {key: plain(part) for key, part in element.items()}
    return np.asarray(element).tolist()


def plains(elements: Any) -> list[Any]:
    return [plain(element) for element in elements]


@pytest.mark.parametrize("name", CASES)
def test_meaning(name: str) -> None:
    make, expected = CASES[name]
    data = make(Pipeline)
    assert plains(data) == expected
    assert plains(data) == expected  # and again
    assert int(data.cardinality()) in (len(expected), UNKNOWN_CARDINALITY)


@pytest.mark.parametrize("name", CASES)
def test_goes_on_at_any_element(name: str) -> None:
    make, expected = CASES[name]
    data = make(Pipeline)
    elements = iter(data)
    for i in range(len(expected)):
        other = make(Pipeline)
        other.load_state_dict(json.loads(json.dumps(data.state_dict())))
        assert plains(other) == expected[i:]
        next(elements)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_meaning_is_that_of_tensorflow(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    make, expected = CASES[name]
    theirs = make(tf.data.Dataset)
    assert plains(theirs) == expected
    if name not in ("padded", "group_by_window"):
        assert int(make(Pipeline).cardinality()) == int(theirs.cardinality())


# --- order --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("buffer", [1, 3, 10, 100, 9000])
@pytest.mark.parametrize("size", [0, 1, 10, 100, 9100, 17000])
def test_shuffled_rows_come_as_shuffled_elements(buffer: int, size: int) -> None:
    rows = Pipeline.range(size).shuffle(buffer, seed=3)
    elements = Pipeline.from_generator(lambda: range(size)).shuffle(buffer, seed=3)
    order = [int(x) for x in rows]
    assert order == [int(x) for x in elements] and sorted(order) == list(range(size))
    if buffer < size:
        assert all(x < i + buffer for i, x in enumerate(order))  # nothing comes before it was in the buffer


def test_shuffling() -> None:
    data = Pipeline.range(50).shuffle(50, seed=1)
    first, second = plains(data), plains(data)
    assert first != second
    assert first == plains(Pipeline.range(50).shuffle(50, seed=1))
    fixed = Pipeline.range(50).shuffle(50, seed=1, reshuffle_each_iteration=False)
    assert plains(fixed) == plains(fixed)
    repeated = plains(Pipeline.range(20).shuffle(20, seed=2).repeat(2))
    assert repeated[:20] != repeated[20:] and sorted(repeated[:20]) == list(range(20))
    mixed = np.array([plains(Pipeline.range(6).shuffle(6, seed=s)) for s in range(3000)])
    np.testing.assert_allclose([(mixed[:, 0] == i).mean() for i in range(6)], 1 / 6, atol=0.03)
    lamina.random.seed(1)
    unseeded = plains(Pipeline.range(50).shuffle(50))
    lamina.random.seed(1)
    assert plains(Pipeline.range(50).shuffle(50)) == unseeded


def test_random_functions_are_keyed() -> None:
    def noisy(**options: Any) -> Pipeline:
        return Pipeline.range(40).map(lambda i: i + rng().random(), seed=7, **options)

    first = noisy()
    expected = [plains(first), plains(first)]
    assert expected[0] != expected[1]
    for options in ({"num_parallel_calls": 4}, {"num_parallel_calls": AUTOTUNE}):
        again = noisy(**options).prefetch(3)
        assert [plains(again), plains(again)] == expected
    kept = noisy().shuffle(9, seed=1).cache()
    assert plains(kept) == plains(kept)


def test_state_of_random_stages() -> None:
    def make() -> Pipeline:
        noisy = Pipeline.range(12).map(lambda i: i + rng().random()).cache().shuffle(5)
        return noisy.interleave(lambda x: Pipeline.from_tensors(x).repeat(2).shuffle(2), 2).batch(5).prefetch(2)

    lamina.random.seed(4)
    data = make()
    list(data)
    elements = iter(data)
    seen = [plain(next(elements)) for _ in range(2)]
    state = json.loads(json.dumps(data.state_dict()))
    rest, following = plains(elements), plains(data)
    assert len(seen) + len(rest) == 5
    lamina.random.seed(99)  # another process has other seeds
    other = make()
    other.load_state_dict(state)
    assert [plains(other), plains(other)] == [rest, following]
    with pytest.raises(ArgumentError, match="other stages"):
        Pipeline.range(3).load_state_dict(state)


def test_without_end() -> None:
    data = Pipeline.range(3).shuffle(3, seed=0).repeat()
    assert int(data.cardinality()) == INFINITE_CARDINALITY
    with pytest.raises(TypeError, match="no end"):
        len(data)
    elements = iter(data)
    for _ in range(100):
        next(elements)
    other = Pipeline.range(3).shuffle(3).repeat()
    other.load_state_dict(data.state_dict())
    assert plains(other.take(5)) != [] and plains(x for x, _ in zip(iter(data), range(3), strict=False)) != []
    resumed = iter(other)
    assert [int(next(resumed)) for _ in range(7)] == [int(next(elements)) for _ in range(7)]
    assert plains(Pipeline.range(0).repeat()) == []
    assert plains(Pipeline.counter(3, 2).take(3)) == [3, 5, 7]
    assert plains(Pipeline.random(seed=1).take(3)) == plains(Pipeline.random(seed=1).take(3))


def test_sampling() -> None:
    made = Pipeline.sample_from_datasets(
        [Pipeline.from_tensors(0).repeat(), Pipeline.from_tensors(1).repeat()], [0.25, 0.75], seed=1
    )
    assert abs(np.mean(plains(made.take(2000))) - 0.75) < 0.03
    assert sorted(plains(Pipeline.sample_from_datasets([Pipeline.range(3), Pipeline.range(5, 9)], seed=0))) == [
        0, 1, 2, 5, 6, 7, 8,
    ]  # fmt: skip


# --- elements -----------------------------------------------------------------------------------------
def test_what_functions_get_and_give() -> None:
    kinds = []

    def look(x: Any, y: Any) -> Any:
        kinds.append((type(x), x.dtype, type(y)))
        return {"sum": x.sum(), "list": [1, 2], "numpy": np.float64(3), "text": "a"}

    element = next(iter(Pipeline.from_tensor_slices(([[1.0, 2.0]], ["words"])).map(look)))
    assert kinds == [(lamina.Tensor, np.dtype("float32"), str)]
    assert element["list"].dtype == np.int64 and element["numpy"].dtype == np.float64
    assert element["text"] == "a"
    assert next(iter(Pipeline.range(1).map(lambda x: x))).numpy() == 0
    assert list(Pipeline.from_tensor_slices(["a", "b"]).as_numpy_iterator()) == ["a", "b"]
    assert plains(Pipeline.from_tensor_slices(["a", "b", "c"]).batch(2)) == [["a", "b"], ["c"]]


def test_padding_by_parts() -> None:
    data = Pipeline.from_generator(lambda: [([1], [[1.0]], "a"), ([2, 3], [[1.0], [2.0]], "b")])
    a, b, names = next(iter(data.padded_batch(2, padding_values=(9, -1.0, ""))))
    assert a.tolist() == [[1, 9], [2, 3]] and b.tolist() == [[[1.0], [-1.0]], [[1.0], [2.0]]]
    assert names.tolist() == ["a", "b"]
    by_name = data.map(lambda a, b, c: {"a": a, "b": b})
    padded = next(iter(by_name.padded_batch(2, {"a": [3], "b": [None, 2]})))
    assert padded["a"].shape == (2, 3) and padded["b"].shape == (2, 2, 2)
    with pytest.raises(ShapeError, match="does not fit"):
        list(by_name.padded_batch(2, {"a": [1], "b": [None, 1]}))
    with pytest.raises(ShapeError, match="2 axes"):
        list(by_name.padded_batch(2, {"a": [1, 1], "b": [None, 1]}))
    words = Pipeline.from_generator(lambda: [["a"], ["b", "c"]])
    assert plains(words.padded_batch(2)) == [[["a", ""], ["b", "c"]]]


def test_buckets() -> None:
    data = Pipeline.from_generator(lambda: [[1], [1, 2, 3], [2], [4, 5], [1, 2, 3, 4]])
    buckets = data.bucket_by_sequence_length(lambda x: x.shape[0], [2, 3], [2, 2, 2])
    assert plains(buckets) == [[[1], [2]], [[1, 2, 3, 0], [1, 2, 3, 4]], [[4, 5]]]


def test_specifications() -> None:
    def shapes(data: Pipeline) -> Any:
        spec = data.element_spec
        return [part.shape for part in (spec if isinstance(spec, tuple) else (spec,))]

    images = Pipeline.from_tensor_slices((np.zeros((9, 4, 3), np.float32), np.zeros(9, np.int32)))
    assert shapes(images) == [(4, 3), ()] and images.element_spec[1].dtype == np.int32
    assert shapes(images.shuffle(3).batch(2)) == [(None, 4, 3), (None,)]
    assert shapes(images.batch(2, drop_remainder=True)) == [(2, 4, 3), (2,)]
    assert shapes(images.batch(2).map(lambda x, y: (x[:, :2], y)).prefetch(1)) == [(None, 2, 3), (None,)]
    assert shapes(images.map(lambda x, y: x).batch(2)) == [(None, 4, 3)]
    random = images.shuffle(9, seed=1).map(lambda x, y: y)
    assert shapes(random) == [()]
    assert random.state_dict()["starts"] == [0, 0]  # looking is no pass


def test_generators() -> None:
    data = Pipeline.from_generator(lambda n: ((i, [i] * i) for i in range(n)), (np.int32, np.float32), args=(3,))
    assert [(x.dtype, y.dtype, y.shape) for x, y in data][2] == (np.int32, np.float32, (2,))
    with pytest.raises(ArgumentError, match="function"):
        Pipeline.from_generator(iter([1]))  # type: ignore[arg-type]


def test_reducing() -> None:
    total, count = Pipeline.range(5).reduce((0, 0), lambda state, x: (state[0] + x, state[1] + 1))
    assert (int(total), int(count)) == (10, 5)
    assert int(Pipeline.from_tensors(3).get_single_element()) == 3
    with pytest.raises(DataError, match="more than one"):
        Pipeline.range(2).get_single_element()


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"\[2, 3\]"):
        Pipeline.from_tensor_slices(([1, 2], [1, 2, 3]))
    with pytest.raises(ShapeError, match=r"sample 1.*padded_batch"):
        list(Pipeline.from_generator(lambda: [[1], [1, 2]]).batch(2))
    with pytest.raises(ArgumentError, match="returns a Pipeline"):
        list(Pipeline.range(2).flat_map(lambda x: [x]))  # type: ignore[arg-type, return-value]
    for wrong in (0, -3, True):
        with pytest.raises(ArgumentError):
            Pipeline.range(3).batch(wrong)
    with pytest.raises(ArgumentError):
        Pipeline.range(3).shard(2, 2)
    with pytest.raises(DataError, match="No file"):
        Pipeline.list_files("/nowhere/*.txt")
    good = Pipeline.from_tensor_slices([1, 0, 2]).map(lambda x: 6 // int(x)).ignore_errors()
    assert plains(good) == [6, 3]
    options = Options()
    options.threading.private_threadpool_size = 3
    assert plains(Pipeline.range(2).with_options(options)) == [0, 1]


def test_files_in_order(tmp_path: Any) -> None:
    for name in "bca":
        (tmp_path / f"{name}.txt").write_text(name)
    files = Pipeline.list_files(str(tmp_path / "*.txt"), shuffle=False)
    assert [str(f)[-5:] for f in files.as_numpy_iterator()] == ["a.txt", "b.txt", "c.txt"]
    assert sorted(plains(Pipeline.list_files(str(tmp_path / "*.txt"), seed=1))) == plains(files)


def test_cache_in_a_file(tmp_path: Any) -> None:
    made = []

    def make() -> Pipeline:
        return Pipeline.range(3).map(lambda i: (made.append(int(i)), {"x": i, "s": "é"})[1]).cache(tmp_path / "kept")

    expected = plains(make())
    assert plains(make()) == expected and made == [0, 1, 2]
    (tmp_path / "kept.cache.npz").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match=r"kept\.cache\.npz"):
        list(make())


# --- threads ------------------------------------------------------------------------------------------
def threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("lamina-")}


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_threads_end_when_nobody_listens() -> None:
    before = threads()  # some may be about to end
    elements = iter(Pipeline.range(1000).map(lambda x: x, num_parallel_calls=2).prefetch(2))
    next(elements)
    assert threads() - before
    del elements
    gc.collect()
    assert wait_for(lambda: threads() <= before)


def test_errors_come_through_threads() -> None:
    data = Pipeline.range(10).map(lambda x: 1 // (5 - int(x)), num_parallel_calls=2).prefetch(4)
    elements = iter(data)
    assert [int(next(elements)) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(elements)


def test_prefetching_works_ahead() -> None:
    made: list[int] = []
    elements = iter(Pipeline.range(50).map(lambda x: made.append(int(x)) or x).prefetch(4))
    next(elements)
    assert wait_for(lambda: len(made) >= 5)
    time.sleep(0.02)
    assert len(made) <= 6


def test_parallel_calls_run_at_once() -> None:
    """The first element is made alone; then each call ends only when ten go on, and fails if they never do."""
    meeting = threading.Barrier(10, timeout=60)
    together = Pipeline.range(21).map(lambda x: (x > 0 and meeting.wait(), x)[1], num_parallel_calls=10)
    assert plains(together) == list(range(21))


# --- numbers of lamina.random in data --------------------------------------------------------------------
def test_numbers_of_lamina_are_keyed_too() -> None:
    augment = lamina.Sequential([lamina.layers.RandomFlip(seed=1), lamina.layers.RandomRotation(0.3)])
    images = np.random.default_rng(0).random((12, 6, 6, 1), np.float32)

    def make(**options: Any) -> Pipeline:
        data = Pipeline.from_tensor_slices(images)
        return data.map(lambda x: (augment(x, training=True), lamina.random.normal((2,))), seed=3, **options)

    whole = make()
    expected = [plains(whole), plains(whole)]
    assert expected[0] != expected[1]
    again = make(num_parallel_calls=3).prefetch(2)
    assert [plains(again), plains(again)] == expected
    elements = iter(again)
    for _ in range(5):
        next(elements)
    other = make()
    other.load_state_dict({**again.state_dict(), "starts": [1], "position": 4})
    assert plains(other) == expected[1][4:]


def test_numbers_outside_the_data_go_on_as_before() -> None:
    lamina.random.seed(1)
    expected = lamina.random.normal((3,)).tolist()
    lamina.random.seed(1)
    list(Pipeline.range(5).map(lambda x: lamina.random.normal(()), seed=2, num_parallel_calls=2))
    assert lamina.random.normal((3,)).tolist() == expected


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (5, TypeError, r"the shape \[\]; a vector of five the shape \[5\]. Got 5"),
        ("a", TypeError, "Got 'a'"),
        (([5], 5), TypeError, "Got 5"),
        ([[5]], TypeError, r"Got \[\[5\]\]"),
        ([-2], ArgumentError, "at least 0, or None; got -2"),
        (([5], [], []), ShapeError, "is for 3 parts, and an element has 2"),
        ([5, 5], ShapeError, r"shape \[5, 5\] in padded_shapes has 2 axes, and an element 1"),
    ],
)
def test_padded_shapes_that_are_none(given: Any, error: type[Exception], words: str) -> None:
    data = Pipeline.from_tensor_slices((np.zeros((4, 3)), np.zeros(4)))
    with pytest.raises(error, match=words):
        list(data.padded_batch(2, given))
    if error is not ShapeError:
        with pytest.raises(error, match=words):
            data.bucket_by_sequence_length(len, [3], [1, 1], padded_shapes=given)


@pytest.mark.parametrize("method", ["map", "filter", "take_while", "flat_map", "interleave"])
def test_what_is_no_function_is_refused_at_once(method: str) -> None:
    with pytest.raises(ArgumentError, match=r"(map_func|predicate) is a function of an element, got 3\."):
        getattr(Pipeline.range(3), method)(3)
    with pytest.raises(ArgumentError, match="batch_size is a positive integer, got 2.5"):
        Pipeline.range(3).batch(2.5)  # type: ignore[arg-type]
