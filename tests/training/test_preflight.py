"""``preflight`` finds at least 45 of 50 seeded mistakes and raises no false alarm over 30 sound scripts."""

from __future__ import annotations

import warnings
import zlib
from typing import Any

import numpy as np
import preflight_mistakes  # noqa: F401  (fills the table)
import preflight_sound  # noqa: F401
import pytest
from counting import tell
from preflight_parts import MISTAKES, SOUND

import lamina

FOUND: dict[str, bool] = {}


def run(name: str, case: Any) -> Any:
    seed = zlib.crc32(name.encode())
    lamina.random.seed(seed)
    model, arguments = case(np.random.default_rng(seed))
    before = [w.copy() for w in model.get_weights()] if model.built else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = model.preflight(**arguments)
    if before is not None:  # nothing was changed
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    return report


def test_mistakes() -> None:
    missed = {}
    for name, (case, kinds) in MISTAKES.items():
        report = run(name, case)
        if not set(kinds.split("|")) & set(report.kinds):
            missed[name] = str(report)
    tell(f"preflight: {len(MISTAKES) - len(missed)} of {len(MISTAKES)} mistakes found")
    assert len(MISTAKES) >= 50
    assert len(MISTAKES) - len(missed) >= 0.9 * len(MISTAKES), missed


def test_sound_scripts() -> None:
    alarms = {name: str(report) for name, case in SOUND.items() if not (report := run(name, case)).ok}
    tell(f"preflight: {len(alarms)} false alarms over {len(SOUND)} sound scripts")
    assert len(SOUND) >= 30
    assert not alarms, "\n".join(f"{k}: {v}" for k, v in alarms.items())


def test_what_is_printed() -> None:
    report = run("logits", MISTAKES["probabilities_for_a_loss_of_logits"][0])
    assert not report.ok and "preflight: 1 found\n- logits: 'dense" in str(report)
    assert str(run("regression", SOUND["regression"])) == "preflight: nothing found"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_other_seeds(seed: int) -> None:
    """No verdict hangs on one draw."""
    alarms = [name for name, case in SOUND.items() if not run(f"{name} {seed}", case).ok]
    missed = [n for n, (case, k) in MISTAKES.items() if not set(k.split("|")) & set(run(f"{n} {seed}", case).kinds)]
    tell(f"preflight, seed {seed}: missed {missed}, alarms {alarms}")
    assert len(missed) <= 5 and not alarms
