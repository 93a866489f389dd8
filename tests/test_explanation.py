"""lamina.explain: what it says of a step is what the step does."""

from __future__ import annotations

import io
import itertools
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.backends.native.program import NativeExecutable
from lamina.core.errors import ArgumentError, CaptureError
from lamina.explanation import Explanation
from lamina.graph.verify import verify
from lamina.training.profile import step_of


def network() -> Any:
    model = lamina.Sequential(
        [
            lamina.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((48, 8, 8, 1), np.float32), rng.integers(0, 3, 48)


@pytest.fixture(scope="module")
def model() -> Any:
    lamina.random.seed(0)
    return network()


@pytest.fixture(scope="module")
def found(model: Any, data: Any) -> Explanation:
    return lamina.explain(model, *data, batch_size=16, seconds=0.02, verbose=False)


@pytest.fixture(scope="module")
def executable(model: Any, data: Any) -> NativeExecutable:
    """What fit runs for the same step."""
    function, arrays = step_of(model, *data, 16, "test")
    run = function.executable(*arrays)
    assert isinstance(run, NativeExecutable)
    return run


# --- the stages are true ----------------------------------------------------------------------------
def test_captured_and_optimized_graphs_compute_the_same(found: Explanation, data: Any) -> None:
    for graph in (found.captured, found.optimized):
        verify(graph)
        assert [v.name for v in graph.inputs] == ["order", "x", "y"]
    feeds = {"order": np.arange(48), "x": data[0], "y": data[1]}
    losses = []
    for graph in (found.captured, found.optimized):
        total = next(value for variable, value in graph.writes if variable.path == "loss/total")
        losses.append(graph.run(feeds, [total])[0])
    assert losses[0] == losses[1] > 0


def test_passes_lead_from_one_graph_to_the_other(found: Explanation) -> None:
    assert found.passes[0].before == len(found.captured.nodes)
    assert found.passes[-1].after == len(found.optimized.nodes) < len(found.captured.nodes)
    for earlier, later in itertools.pairwise(found.passes):
        assert earlier.after == later.before
    assert {"fold_constants", "simplify", "remove_dead_code"} <= {p.name for p in found.passes}


def test_kernels_are_those_that_run(found: Explanation, executable: NativeExecutable) -> None:
    groups = [g for phase in executable.schedule.phases for g in phase]
    assert [(k.kind, k.shape, k.ops) for k in found.kernels] == [
        (g.kind, g.shape, tuple(n.primitive.name for n in g.nodes)) for g in groups
    ]
    assert [k.name for k in found.kernels] == [executable.compiler.names.get(g.index, "") for g in groups]
    measured = {row.group: row for row in found.timing.rows}
    assert set(measured) == {k.group for k in found.kernels if k.kind != "joined"}
    for kernel in found.kernels:
        if kernel.kind != "joined":
            assert (measured[kernel.group].ops, measured[kernel.group].layer) == (kernel.ops, kernel.layer)
    calls = executable.compiler.frame[-1]  # lamina_main
    assert all(f"@{k.name}" in calls for k in found.kernels if k.name)


def test_every_operation_is_in_one_kernel_or_a_view(found: Explanation) -> None:
    shown = "\n".join(line for k in found.kernels for line in k.lines)
    made = [name for k in found.kernels for name in k.writes]
    assert len(made) == len(set(made))
    read = {name for k in found.kernels for name in k.reads}
    given = {f"%{v.name}" for v in found.optimized.inputs} | {f"%{v.name}" for _, v in found.optimized.reads}
    constants = {f"%{v.name}" for v in found.optimized.constants()}
    assert read <= set(made) | given | constants
    for op in ("conv", "matmul", "exp", "sqrt"):
        assert f"= {op}" in shown


def test_kernels_know_their_layers(found: Explanation) -> None:
    forward = found.kernels.find("conv")
    assert "relu" in forward.ops and forward.layer.endswith("/conv")
    layers_seen = {k.layer.partition("/")[2] or k.layer for k in found.kernels}
    assert {"conv", "norm", "out", "conv/gradient", "out/gradient"} <= layers_seen
    update = found.kernels.find("out/gradient")
    assert "# optimizer" in str(update)  # fused into the kernel of the gradient


def test_memory_is_the_plan(found: Explanation, executable: NativeExecutable, model: Any) -> None:
    memory = found.memory
    assert memory.arena_bytes == executable._arena_bytes
    assert max(b.offset + b.bytes for b in memory.buffers) <= memory.arena_bytes
    assert memory.busiest_bytes <= memory.arena_bytes <= memory.buffer_bytes + 64 * len(memory.buffers)
    assert memory.buffer_bytes > memory.arena_bytes, "nothing is used twice"
    for a, b in itertools.combinations(memory.buffers, 2):
        apart_in_time = a.last < b.first or b.last < a.first
        assert apart_in_time or a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset, (a, b)
    variables = {id(v): v for v, _ in (*found.optimized.reads, *found.optimized.writes)}
    assert memory.outside["variable"] == sum(v.numpy().nbytes for v in variables.values())
    assert memory.outside["input"] == 48 * (8 + 64 * 4 + 8)
    for b in memory.buffers:
        writers = [k for k in found.kernels if b.name in k.writes]
        readers = [k.phase for k in found.kernels if b.name in k.reads]
        if writers:
            assert writers[0].phase == b.first and max(readers, default=b.first) <= b.last


def test_llvm_parses_and_assembly_has_every_kernel(found: Explanation, executable: NativeExecutable) -> None:
    names = {k.name for k in found.kernels if k.name}
    assert set(found.llvm) == set(found.assembly) == names
    with llvm.parse_assembly(found.llvm.module) as module:
        module.verify()
        defined = {f.name for f in module.functions if not f.is_declaration}
    assert names <= defined
    assert found.llvm.module == executable.compiler.text
    for name in names:
        assert f"@{name}(" in found.llvm[name] and found.llvm[name] in found.llvm.module
        assert f"{name}:" in found.assembly[name]
    kernel = found.kernels.find("conv")
    loop = found.llvm.innermost(kernel.name)
    label = loop.partition(":")[0]
    assert f"label %{label}" in loop.splitlines()[-1] and "fmuladd" in loop


def test_recurrent_kernels_are_shown_with_what_they_call() -> None:
    model = lamina.Sequential([lamina.Input((6, 3)), layers.LSTM(4, name="lstm"), layers.Dense(1)])
    model.compile("sgd", "mse")
    found = lamina.explain(model, verbose=False)
    sweep = next(k for k in found.kernels if k.kind == "sweep")
    assert "tanh" in str(sweep)
    assert found.llvm[sweep.name].count("define ") > 1
    assert set(found.assembly) == set(found.llvm)


def test_an_op_in_numpy_says_why() -> None:
    @lamina.function
    def volume(x: Any) -> Any:
        return lamina.linalg.det(x) * 2.0

    found = lamina.explain(volume, lamina.ones((3, 3)), verbose=False)
    (opaque,) = [k for k in found.kernels if k.reason]
    assert opaque.ops == ("det",) and not opaque.name and "in NumPy" in str(opaque)
    assert "in NumPy" in str(found)


# --- leaving no trace -------------------------------------------------------------------------------
def test_the_model_stays_as_it_is(data: Any) -> None:
    losses = []
    for explained in (True, False):
        lamina.random.seed(3)
        model = network()
        if explained:
            str(lamina.explain(model, seconds=0.01, verbose=False))
        losses.append(model.fit(*data, batch_size=16, epochs=2, verbose=0).history["loss"])
    assert losses[0] == losses[1]


# --- what is asked for, and how it is shown ---------------------------------------------------------
def test_data_is_made_up_from_the_models_shapes(model: Any) -> None:
    found = lamina.explain(model, batch_size=4, verbose=False)
    assert found.captured.inputs[1].shape == (4, 8, 8, 1)
    assert found.name == "train_step"


def test_a_prediction_and_a_function(data: Any) -> None:
    model = lamina.Sequential([lamina.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)])
    found = lamina.explain(model, data[0], verbose=False)  # needs no compile
    assert found.name == "predict_step" and [v.name for v in found.captured.inputs] == ["x"]
    plain = lamina.explain(lambda x, n: x * n, np.ones(3, np.float32), 2.0, verbose=False)  # 2.0 is static
    assert [k.ops for k in plain.kernels] == [("multiply",)]


def test_printing(model: Any, capsys: Any) -> None:
    lamina.explain(model, stages=("kernels", "memory"))
    shown = capsys.readouterr().out
    assert "1. kernels" in shown and "2. memory" in shown and "LLVM" not in shown and "\x1b" not in shown
    lamina.explain(model, stages="llvm", kernel="conv", verbose=False)
    assert not capsys.readouterr().out


def test_all_stages_as_text_and_html(found: Explanation) -> None:
    text = str(found)
    for title in ("1. captured", "2. optimized", "3. kernels", "4. memory", "5. LLVM", "6. machine code", "7. timing"):
        assert f"\n{title}" in text
    assert "more lines: print(explanation.captured)" in text
    found.lines, before = None, found.lines
    assert len(str(found).splitlines()) > len(text.splitlines())
    assert "more lines" not in str(found)
    found.lines = before
    shown = found._repr_html_()
    assert shown.count("<details") == shown.count("</details>") == 7
    assert "x float&gt;" in shown and "x float>" not in shown


def test_in_a_terminal() -> None:
    from rich.console import Console

    model = lamina.Sequential([lamina.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    found = lamina.explain(model, seconds=0.01, verbose=False)
    written = io.StringIO()
    Console(file=written, force_terminal=True, width=100).print(found)
    assert "7. timing" in written.getvalue() and "matmul" in written.getvalue() and "\x1b[" in written.getvalue()


# --- mistakes ---------------------------------------------------------------------------------------
def test_mistakes_say_what_to_do(model: Any, data: Any) -> None:
    fresh = lamina.Sequential([layers.Dense(2)])
    with pytest.raises(ArgumentError, match=r"not compiled.*model\.compile"):
        lamina.explain(fresh)
    fresh.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"not built.*lamina\.explain\(model, x, y\)"):
        lamina.explain(fresh)
    with pytest.raises(ArgumentError, match=r"'kernel'.*Did you mean 'kernels'"):
        lamina.explain(model, stages="kernel")
    with pytest.raises(ArgumentError, match=r"no kernel 'conf'.*There are"):
        lamina.explain(model, kernel="conf", verbose=False)
    with pytest.raises(ArgumentError, match="none with number 999"):
        lamina.explain(model, kernel=999, verbose=False)
    with pytest.raises(ArgumentError, match="x, or x and y"):
        lamina.explain(model, *data, data[1])
    with pytest.raises(ArgumentError, match="got int"):
        lamina.explain(3)
    with pytest.raises(ArgumentError, match="batch_size"):
        lamina.explain(model, batch_size=0)
    wide = lamina.Sequential([lamina.Input((None, 3)), layers.LSTM(2)])
    wide.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"\(None, None, 3\).*give it data"):
        lamina.explain(wide)
    fresh.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ArgumentError, match="runs eagerly"):
        lamina.explain(fresh, data[0].reshape(48, -1), np.zeros((48, 2)))
    with pytest.raises(CaptureError, match="explain"):
        lamina.function(lambda x: lamina.explain(model))(lamina.ones(2))


def test_on_another_backend(monkeypatch: Any, model: Any) -> None:
    monkeypatch.setenv("LAMINA_BACKEND", "eager")
    with pytest.raises(ArgumentError, match="native"):
        lamina.explain(model)
