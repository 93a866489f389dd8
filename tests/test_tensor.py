"""Tensor and Variable: conversion, immutability, numbers out, text, DLPack, storage."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, ShapeError
from lamina.tensor import padded_zeros

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
    "float64",
]


# --- made of ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1.5, "float32", ()),
        (3, "int64", ()),
        (True, "bool", ()),
        ([1.0, 2.0], "float32", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        ([True, False], "bool", (2,)),
        ([], "float32", (0,)),
        ((1, 2.5), "float32", (2,)),
        (np.float64(2), "float64", ()),
        (np.arange(3, dtype=np.uint8), "uint8", (3,)),
        ([np.float64(1), np.float64(2)], "float64", (2,)),
        (np.arange(3, dtype=">i4"), "int32", (3,)),
    ],
    ids=repr,
)
def test_values_become_tensors(value: Any, dtype: str, shape: tuple[int, ...]) -> None:
    x = lamina.tensor(value)
    assert type(x) is lamina.Tensor
    assert (x.dtype, x.shape, x.ndim, x.device) == (np.dtype(dtype), shape, len(shape), "cpu")
    np.testing.assert_array_equal(x.numpy(), np.asarray(value))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_in_and_out(dtype: str) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(dtype)
    x = lamina.tensor(array)
    assert x.dtype == array.dtype
    assert x.numpy().dtype == array.dtype
    np.testing.assert_array_equal(x.numpy(), array)
    assert lamina.tensor([0, 1], dtype=dtype).dtype == array.dtype
    assert f"dtype={dtype}" in repr(x)


def test_tensors_in_a_list_are_stacked() -> None:
    x = lamina.tensor([lamina.tensor([1, 2]), lamina.tensor([3, 4])])
    assert x.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("value", ["text", None, {1, 2}, ["a", "b"], 1j, np.array([1j])], ids=repr)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(DTypeError):
        lamina.tensor(value)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(ShapeError, match="ragged"):
        lamina.tensor([[1, 2], [3]])


# --- never changes ------------------------------------------------------------------------------------
def test_a_tensor_does_not_share_memory_with_what_it_came_from() -> None:
    array = np.zeros(3)
    x = lamina.tensor(array)
    array[:] = 1
    assert x.tolist() == [0, 0, 0]


def test_a_tensor_cannot_be_changed() -> None:
    x = lamina.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="scatter_update"):
        x[0] = 5.0
    with pytest.raises(AttributeError):
        x.name = "x"  # type: ignore[attr-defined]
    copied = x.numpy()
    copied[0] = 5.0
    view = np.asarray(x)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5.0
    before = x
    x += 1
    assert before.tolist() == [1.0, 2.0]
    assert x.tolist() == [2.0, 3.0]


def test_views_are_tensors_that_cannot_be_changed_either() -> None:
    x = lamina.tensor(np.arange(6).reshape(2, 3))
    for y in (x[0], x.T, x.reshape(3, 2), lamina.broadcast_to(x, (2, 2, 3))):
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(y)[...] = 0
    np.testing.assert_array_equal(x.numpy(), np.arange(6).reshape(2, 3))


def test_copies() -> None:
    x = lamina.tensor([1.0, 2.0])
    assert copy.copy(x) is x
    assert copy.deepcopy(x) is x
    again = pickle.loads(pickle.dumps(x))
    assert again.dtype == x.dtype
    assert again.tolist() == x.tolist()


# --- out to NumPy and Python -------------------------------------------------------------------------
def test_as_an_array() -> None:
    x = lamina.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), np.asarray(x))
    assert np.array(x, dtype=np.float64).dtype == np.float64
    np.array(x)[0] = 5  # a copy
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="copy"):
        x.__array__(np.float64, copy=False)
    np.testing.assert_array_equal(np.add(np.ones(2, np.float32), np.asarray(x)), [2, 3])


def test_an_array_on_the_left_gives_a_tensor() -> None:
    left = np.ones(2, np.float32)
    for result in (left + lamina.tensor([1.0, 2.0]), left * lamina.Variable([2.0, 3.0])):
        assert type(result) is lamina.Tensor
        assert result.tolist() == [2.0, 3.0]


def test_numbers() -> None:
    x = lamina.tensor([[7]])
    assert (x.item(), int(x), float(x), complex(x), bool(x), operator.index(x)) == (7, 7, 7.0, 7 + 0j, True, 7)
    assert [10, 20, 30][lamina.tensor(1)] == 20
    assert f"{lamina.tensor(0.125):.2f}" == "0.12"
    assert type(lamina.tensor(2.0).item()) is float
    many = lamina.tensor([1.0, 2.0])
    for convert in (int, float, complex, bool, lamina.Tensor.item):
        with pytest.raises(ArgumentError, match=r"\(2,\)|ambiguous"):
            convert(many)
    with pytest.raises(DTypeError, match="index"):
        operator.index(lamina.tensor(1.0))


def test_length_and_iteration() -> None:
    x = lamina.tensor([[1, 2], [3, 4], [5, 6]])
    assert len(x) == 3
    assert x.size == 6
    assert [row.tolist() for row in x] == [[1, 2], [3, 4], [5, 6]]
    assert 4 in x
    assert 9 not in x
    with pytest.raises(TypeError):
        len(lamina.tensor(1))
    with pytest.raises(TypeError):
        iter(lamina.tensor(1))


def test_tensors_are_keys_by_identity() -> None:
    x, y = lamina.tensor([1.0]), lamina.tensor([1.0])
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"


# --- text ---------------------------------------------------------------------------------------------
def test_repr() -> None:
    assert repr(lamina.tensor(3)) == "Tensor(3, shape=(), dtype=int64)"
    assert repr(lamina.tensor([1.0, 2.5])) == "Tensor([1. , 2.5], shape=(2,), dtype=float32)"
    assert repr(lamina.tensor([[1, 2], [3, 4]])).splitlines() == [
        "Tensor([[1, 2],",
        "        [3, 4]], shape=(2, 2), dtype=int64)",
    ]
    assert len(repr(lamina.zeros((1000, 1000)))) < 1000
    assert f"{lamina.tensor([1])}" == repr(lamina.tensor([1]))


def test_repr_of_a_symbolic_tensor() -> None:
    seen = []

    @lamina.function(backend="eager")
    def f(x: Any) -> Any:
        seen.append((repr(x), x.is_symbolic))
        return x + 1

    f(lamina.ones((2, 3)))
    assert seen == [("Tensor(<symbolic>, shape=(2, 3), dtype=float32)", True)]
    assert not lamina.ones(1).is_symbolic


@pytest.mark.parametrize(
    "ask", [float, bool, len, np.asarray, lamina.Tensor.tolist, lamina.Tensor.numpy, lamina.Tensor.__dlpack__]
)
def test_a_symbolic_tensor_has_no_numbers(ask: Any) -> None:
    if ask is len:  # its shape is known
        assert lamina.function(lambda x: x * len(x), backend="eager")(lamina.ones(3)).tolist() == [3, 3, 3]
        return
    with pytest.raises(CaptureError, match=r"test_tensor\.py"):
        lamina.function(lambda x: ask(x), backend="eager")(lamina.ones(()))


# --- operators ----------------------------------------------------------------------------------------
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "eq", "ne", "lt", "le", "gt", "ge"]
BITS = ["and_", "or_", "xor", "lshift", "rshift"]


@pytest.mark.parametrize("make", [lamina.tensor, lamina.Variable], ids=["Tensor", "Variable"])
@pytest.mark.parametrize("name", BINARY + BITS)
def test_operators(name: str, make: Any) -> None:
    f = getattr(operator, name)
    dtype = np.int64 if name in BITS else np.float64
    a, b = np.array([[7, 2], [3, 4]], dtype), np.array([[2, 2], [1, 3]], dtype)
    for result in (f(make(a), make(b)), f(make(a), lamina.tensor(b)), f(make(a), b)):
        assert type(result) is lamina.Tensor
        np.testing.assert_allclose(result.numpy(), f(a, b))
    if name != "matmul":
        np.testing.assert_allclose(f(make(a), 2).numpy(), f(a, 2))
        np.testing.assert_allclose(f(2, make(a)).numpy(), f(2, a))


@pytest.mark.parametrize("make", [lamina.tensor, lamina.Variable], ids=["Tensor", "Variable"])
def test_unary_operators_and_methods(make: Any) -> None:
    a = np.array([[1.0, -2.0], [3.0, 4.0]])
    x = make(a)
    for result, expected in [
        (-x, -a),
        (+x, a),
        (abs(x), abs(a)),
        (~make([True, False]), np.array([False, True])),
        (x.T, a.T),
        (x.mT, a.T),
        (x[0, 1:], a[0, 1:]),
        (x.sum(axis=0), a.sum(0)),
        (x.mean(), a.mean()),
        (x.max(axis=1, keepdims=True), a.max(1, keepdims=True)),
        (x.min(), a.min()),
        (x.reshape(4), a.reshape(4)),
        (x.reshape((1, -1)), a.reshape(1, -1)),
        (x.astype("int32"), a.astype("int32")),
    ]:
        assert type(result) is lamina.Tensor
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result.numpy(), expected)
    with pytest.raises(ShapeError, match="mT"):
        make(np.zeros((1, 2, 3))).T


METHODS = [
    ("all", {}), ("all", {"axis": 1}), ("any", {"axis": 0, "keepdims": True}), ("argmax", {}), ("argmax", {"axis": 1}),
    ("argmin", {}), ("argmin", {"axis": -1, "keepdims": True}), ("argsort", {"axis": 0}), ("clip", {"min": 1.0}),
    ("clip", {"min": -1.0, "max": 2.0}), ("conj", {}), ("conjugate", {}), ("copy", {}), ("cumprod", {"axis": 1}),
    ("cumsum", {}), ("cumsum", {"axis": 0}), ("diagonal", {"offset": 1}), ("dot", {"other": np.ones((3, 2))}),
    ("flatten", {}), ("prod", {"axis": 0}), ("prod", {"dtype": "float32"}), ("ravel", {}), ("repeat", {"repeats": 2}),
    ("repeat", {"repeats": [1, 2], "axis": 0}), ("round", {}), ("round", {"decimals": 1}), ("round", {"decimals": -1}),
    ("squeeze", {}), ("std", {}), ("std", {"axis": 0}), ("swapaxes", {"axis1": 0, "axis2": 1}),
    ("take", {"indices": [2, 0], "axis": 1}), ("trace", {}), ("trace", {"offset": 1}), ("transpose", {}),
    ("var", {"axis": (0, 1)}), ("var", {"ddof": 1}), ("std", {"axis": 1, "keepdims": True}),
]  # fmt: skip


@pytest.mark.parametrize("make", [lamina.tensor, lamina.Variable], ids=["Tensor", "Variable"])
@pytest.mark.parametrize(("name", "arguments"), METHODS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_methods_are_those_of_ndarray(make: Any, name: str, arguments: dict[str, Any]) -> None:
    a = np.array([[1.26, -2.0, 0.0], [3.5, 14.0, -0.5]])
    by_position = name in ("swapaxes", "dot")  # in NumPy
    expected = getattr(a, name)(*arguments.values()) if by_position else getattr(a, name)(**arguments)
    result = getattr(make(a), name)(**arguments)
    assert type(result) is lamina.Tensor and result.dtype == expected.dtype and result.shape == expected.shape
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)
    if name in ("copy", "trace", "repeat", "argsort"):
        return
    compiled = lamina.function(lambda x: getattr(x, name)(**arguments))(lamina.tensor(a))
    np.testing.assert_allclose(compiled.numpy(), expected, rtol=1e-6)


def test_methods_that_differ_from_those_of_ndarray_in_form() -> None:
    a = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    x = lamina.tensor(a)
    assert x.sort().tolist() == np.sort(a).tolist() and x.sort(descending=True).tolist() == [[3, 2, 1], [5, 4, 0]]
    assert x.tolist() == a.tolist()
    assert [i.tolist() for i in x.nonzero()] == [i.tolist() for i in a.nonzero()]
    assert x.transpose((1, 0)).shape == x.transpose(1, 0).shape == x.transpose(None).shape == (3, 2)
    assert lamina.tensor([1.0, 2.0, 4.0]).searchsorted([3.0]).tolist() == [2]
    assert x[0].argpartition(1)[1].item() == 2
    assert (x.itemsize, x.nbytes, x.real.tolist(), x.imag.sum().item()) == (8, 48, a.tolist(), 0)
    assert x.std(correction=1) == a.std(ddof=1)


def test_every_method_of_ndarray_is_there_or_left_out_on_purpose() -> None:
    in_place = {"fill", "itemset", "partition", "put", "resize", "setfield", "setflags", "byteswap"}
    of_bytes = {"base", "ctypes", "data", "dump", "dumps", "flags", "flat", "getfield", "newbyteorder", "strides",
                "tobytes", "tofile", "tostring", "view"}  # fmt: skip
    rare = {"choose", "compress"}  # x[condition] and lamina.select say these
    missing = {n for n in dir(np.ndarray) if not n.startswith("_") and not hasattr(lamina.Tensor, n)}
    assert missing <= in_place | of_bytes | rare


# --- DLPack -------------------------------------------------------------------------------------------
def test_dlpack_to_numpy() -> None:
    x = lamina.tensor([[1.0, 2.0], [3.0, 4.0]])
    array = np.from_dlpack(x)
    np.testing.assert_array_equal(array, x.numpy())
    assert np.shares_memory(array, np.asarray(x))
    assert not array.flags.writeable
    assert x.__dlpack_device__() == (1, 0)


def test_dlpack_from_any_library() -> None:
    class Foreign:
        """Nothing but the protocol."""

        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack__(self, **arguments: Any) -> Any:
            return self.array.__dlpack__(**arguments)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.array.__dlpack_device__()

    array = np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::2]
    x = lamina.tensor(Foreign(array))
    assert x.dtype == np.int16
    array[...] = 0
    assert x.tolist() == [[0, 2], [3, 5]]


def test_dlpack_before_version_1_gives_a_copy() -> None:
    # Old consumers cannot be told that memory is read-only.
    class Old:
        def __init__(self, capsule: Any) -> None:
            self.capsule = capsule

        def __dlpack__(self, **arguments: Any) -> Any:
            return self.capsule

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    x = lamina.tensor([1.0, 2.0])
    array = np.from_dlpack(Old(x.__dlpack__()))
    assert not np.shares_memory(array, np.asarray(x))
    np.testing.assert_array_equal(array, [1.0, 2.0])
    with pytest.raises(BufferError, match="read-only"):
        x.__dlpack__(copy=False)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "float32", "float64"])
def test_dlpack_with_torch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    there = torch.from_dlpack(lamina.tensor(array))
    np.testing.assert_array_equal(there.numpy(), array)
    back = lamina.tensor(there.T)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back.numpy(), array.T)


# --- Variable -----------------------------------------------------------------------------------------
def test_variable() -> None:
    v = lamina.Variable([[1.0, 2.0]], name="weights")
    assert (v.name, v.shape, v.ndim, v.size, v.dtype, v.trainable, v.device) == (
        "weights", (1, 2), 2, 2, lamina.float32, True, "cpu",
    )  # fmt: skip
    assert repr(v) == "Variable(name='weights', shape=(1, 2), dtype=float32)"
    assert "trainable=False" in repr(lamina.Variable(0, trainable=False))
    v.assign([[5.0, 6.0]])
    v.assign_add([[1.0, 1.0]])
    v.assign_sub(2)
    np.testing.assert_array_equal(v.numpy(), [[4.0, 5.0]])
    np.testing.assert_array_equal(np.asarray(v), [[4.0, 5.0]])
    assert lamina.Variable(1.0).name != lamina.Variable(1.0).name
    with pytest.raises(AttributeError, match="colour"):
        v.colour


def test_a_variable_keeps_shape_and_dtype() -> None:
    v = lamina.Variable([1.0, 2.0], name="v")
    v.assign(np.array([3.0, 4.0]))  # float64
    assert v.dtype == lamina.float32
    v.assign([5, 6])
    assert v.value.dtype == lamina.float32
    with pytest.raises(ShapeError, match=r"'v' has shape \(2,\).*\(3,\)"):
        v.assign([1.0, 2.0, 3.0])
    assert lamina.Variable([1, 2], dtype="float16").dtype == lamina.float16


def test_a_value_once_read_does_not_change() -> None:
    v = lamina.Variable(np.zeros((2, 20), np.float32))
    before = v.value
    shared = np.asarray(v)
    v.assign_add(1)
    assert before.sum().item() == 0
    assert shared.sum() == 0
    assert v.value.sum().item() == 40
    source = np.ones((2, 20), np.float32)
    v.assign(source)
    source[...] = 7
    assert v.value.max().item() == 1


def test_storage_is_copied_only_where_a_tensor_shares_it() -> None:
    v = lamina.Variable(np.zeros((3, 9), np.float32))
    first = v.storage()
    assert v.storage() is first
    value = v.value
    assert np.shares_memory(np.asarray(value), first)
    second = v.storage()
    assert not np.shares_memory(second, first)
    second[...] = 1
    assert value.sum().item() == 0
    assert v.value.sum().item() == 27


def test_assigning_in_place_keeps_the_storage() -> None:
    v = lamina.Variable(np.zeros(5, np.float32))
    storage = v.storage()
    v.assign(np.ones(5, np.float32))
    assert v.storage() is storage


def test_assigning_a_view_of_itself() -> None:
    v = lamina.Variable([1.0, 2.0, 3.0])
    v.assign(lamina.flip(v.value))
    assert v.value.tolist() == [3.0, 2.0, 1.0]
    v.assign(v)
    assert v.value.tolist() == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (3, 17), (2, 512), (4, 0), (2, 3, 5)])
def test_storage_of_variables_is_aligned(shape: tuple[int, ...], dtype: str) -> None:
    array = padded_zeros(shape, np.dtype(dtype))
    assert array.shape == shape
    assert array.ctypes.data % 64 == 0 or array.size == 0
    array[...] = 1
    assert array.sum() == array.size
    if len(shape) == 2 and shape[1] >= 16 and array.itemsize == 4:
        assert array.strides[0] % 64 == 0  # rows start at whole vectors
        assert array.strides[0] % 2048 != 0  # and do not collide in the caches


def test_a_variable_is_not_created_inside_a_captured_function() -> None:
    with pytest.raises(CaptureError, match="before"):
        lamina.function(lambda x: x + lamina.Variable(1.0), backend="eager")(lamina.ones(2))


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_compiled_functions_read_and_write_variables(backend: str) -> None:
    v = lamina.Variable(np.zeros((2, 20), np.float32))
    before = v.value

    @lamina.function(backend=backend)
    def step(x: Any) -> Any:
        old = v.value
        v.assign_add(x)
        return old + v.value

    assert step(lamina.ones((2, 20))).sum().item() == 40
    assert step(lamina.ones((2, 20))).sum().item() == 120
    assert v.value.sum().item() == 80
    assert before.sum().item() == 0


def test_functions_of_numpy_take_tensors() -> None:
    x = lamina.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert np.mean(x).item() == 2.75 and np.sum(x, axis=0).tolist() == [4, 7]
    assert np.max(x, axis=1).tolist() == [2, 5] and np.min(x).item() == 1 and np.std(x) == np.std(x.numpy())
    assert np.var(x, ddof=1).item() == np.var(x.numpy(), ddof=1) and np.argmin(x, axis=1).tolist() == [0, 0]
    assert np.take(x, [3]).tolist() == [5] and np.cumsum(x).tolist() == [1, 3, 6, 11] and np.round(x, 1).shape == (2, 2)
    assert np.transpose(x).tolist() == [[1, 3], [2, 5]] and np.argsort(x).tolist() == [[0, 1], [0, 1]]
    assert np.squeeze(x[:, :1]).tolist() == [1, 3] and np.clip(x, 2, 3).tolist() == [[2, 2], [3, 3]]
    assert np.prod(x).item() == 30 and bool(np.all(x)) and bool(np.any(x)) and np.repeat(x, 2).shape == (8,)
    assert np.sum(lamina.tensor([200, 100], dtype="uint8"), dtype="int32").dtype == np.int32
    with pytest.raises(ArgumentError, match="no out="):
        np.sum(x, out=np.zeros(()))


def test_variables_from_initializers() -> None:
    assert lamina.Variable("ones", shape=(2, 3)).numpy().tolist() == [[1.0] * 3] * 2
    assert lamina.Variable(lamina.initializers.Constant(2), (2,), name="two").numpy().tolist() == [2.0, 2.0]
    v = lamina.Variable(initializer="zeros", dtype="float64", autocast=False, aggregation="mean")
    assert v.shape == () and v.dtype == np.float64 and not v.autocast and v.aggregation == "mean"


def test_a_variable_knows_until_it_is_written_where_its_value_came_from() -> None:
    @lamina.function
    def read() -> Any:
        return v + 1.0

    @lamina.function
    def write() -> None:
        v.assign(v * 2.0)

    layer = lamina.layers.Layer()
    for writer in (write, lambda: v.assign_add(1.0), lambda: v.assign(np.ones(3)), lambda: v.storage()):
        v = layer.add_weight(shape=(3,), initializer="he_normal")
        read()
        v.numpy()
        np.testing.assert_array_equal(v._origin().numpy(), v.numpy())
        writer()
        assert v._origin is None


def test_storage_that_nobody_looks_at_any_more_is_not_copied() -> None:
    v = lamina.Variable(np.ones((3, 9), np.float32))
    first = v.storage().ctypes.data
    (v + v.value).numpy()
    assert v.storage().ctypes.data == first
    v.assign_add(1.0)
    assert v.storage().ctypes.data == first
    row = np.asarray(v)[1:2, 2:]  # a view of the storage, without the Tensor or the array that it was made from
    v.assign(np.full((3, 9), 5.0, np.float32))
    assert row.tolist() == [[2.0] * 7]
    assert v.storage().ctypes.data != first
    del row
    second, view = v.storage().ctypes.data, memoryview(v.value.__array__())
    v.assign_sub(1.0)
    assert view[0, 0] == 5.0 and v.storage().ctypes.data != second
