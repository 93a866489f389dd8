"""ONNX Runtime: the networks as PyTorch exports them, with all of its graph optimizations."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from benchmarks import engine
from benchmarks.peers import Measurement, per_call
from benchmarks.peers.engine.torch_networks import BUILDERS


def predict(network: str, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """A session of the exported network, one picture at a time."""
    work = engine.pictures(network)
    x = np.ascontiguousarray(work.smaller().data()[0][:1].transpose(0, 3, 1, 2))
    model = nn.Sequential(BUILDERS[network](), nn.Softmax(dim=-1)).eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.from_numpy(x),), file, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    expected = model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-3, atol=1e-5)
    return lambda: {"seconds": per_call(lambda: session.run(None, {"x": x}), seconds)}, {}
