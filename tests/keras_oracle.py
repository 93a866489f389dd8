"""What Keras computes, asked in a process of its own: with its NumPy backend, which compiles nothing and is fast."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

_FRAME = """
import pickle, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import keras
given = pickle.load(sys.stdin.buffer)

def plain(tree):
    if isinstance(tree, dict):
        return {k: plain(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(plain(v) for v in tree)
    return np.asarray(tree) if hasattr(tree, "shape") else tree

results = {}
"""
_END = "\nsys.stdout.buffer.write(pickle.dumps(plain(results)))\n"


def ask_keras(script: str, **given: Any) -> dict[Any, Any]:
    """What the script put into ``results``; it finds ``keras``, ``np`` and ``given``.  Skips where there is no Keras.

    Both ends are ours: nothing is unpickled that these tests did not write.
    """
    if find_spec("keras") is None:
        pytest.skip("needs Keras")
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", _FRAME + script + _END], input=pickle.dumps(given), capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[Any, Any] = pickle.loads(done.stdout)
    return found
