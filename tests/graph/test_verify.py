"""The verifier finds each way in which a graph can be wrong."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.core.primitive import PRIMITIVES
from lamina.graph.capture import capture_graph
from lamina.graph.ir import Node, Value
from lamina.graph.verify import verify

F32 = np.dtype(np.float32)
X = np.ones((2, 3), np.float32)


def graph_of(f=None):
    return capture_graph(f or (lambda x: lamina.exp(x * 2.0) + x), [X], ["x"])[0]


def node(name, inputs, shape=(2, 3), dtype=F32, **params):
    return Node(PRIMITIVES[name], inputs, params, [Value(shape, dtype, "new")], True)


def test_a_captured_graph_is_valid():
    verify(graph_of())


def use_before_definition(g):
    g.nodes.reverse()


def undefined_output(g):
    g.outputs = [Value((2, 3), F32, "nowhere")]


def defined_twice(g):
    g.nodes.append(g.nodes[0])


def wrong_shape(g):
    g.nodes[0].outputs[0].shape = (3, 2)


def wrong_dtype(g):
    g.nodes[0].outputs[0].dtype = np.dtype(np.float64)


def refused_inputs(g):
    g.nodes.append(node("add", [g.inputs[0], Value((), F32, "bad")]))
    g.nodes[-1].inputs = (g.inputs[0], _constant(np.ones(4, np.float32)))


def wrong_producer(g):
    g.nodes[0].outputs[0].node = g.nodes[1]


def wrong_constant(g):
    (constant,) = g.constants()
    constant.constant = np.ones(5, np.float32)


def constant_as_output(g):
    g.nodes[0].outputs[0].constant = np.ones((2, 3), np.float32)


def shape_of_arrays(g):
    g.inputs[0].shape = (np.int64(2), 3)


def _constant(array):
    value = Value(array.shape, array.dtype, "c")
    value.constant = array
    return value


def read_twice(g):
    v = lamina.Variable(X, name="v")
    g.reads = [(v, Value((2, 3), F32)), (v, Value((2, 3), F32))]


def wrong_variable(g):
    g.writes = [(lamina.Variable(np.ones(4), name="v"), g.outputs[0])]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (use_before_definition, "nothing before it defines"),
        (undefined_output, "the output uses"),
        (defined_twice, "defined twice"),
        (wrong_shape, "its shape rule gives"),
        (wrong_dtype, "its shape rule gives"),
        (refused_inputs, "shape rule refuses"),
        (wrong_producer, "names another node"),
        (wrong_constant, "the constant"),
        (constant_as_output, "is a constant too"),
        (shape_of_arrays, "no tuple of sizes"),
        (read_twice, "is read twice"),
        (wrong_variable, "'v'.*is assigned as"),
    ],
)
def test_damage_is_found_and_named(damage, words):
    graph = graph_of()
    damage(graph)
    with pytest.raises(lamina.GraphError, match=words):
        verify(graph)


def test_sub_graphs_are_verified_too():
    graph = graph_of(lambda x: lamina.map(lambda row: lamina.sin(row) * 2.0, x))
    verify(graph)
    body = next(n for n in graph.nodes if n.primitive.name == "scan").params["body"]
    body.nodes.reverse()
    with pytest.raises(lamina.GraphError, match="body"):
        verify(graph)
