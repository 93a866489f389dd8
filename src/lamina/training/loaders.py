"""Loaders and pipelines over arrays in memory: the compiled step takes their batches itself.

An object with a method ``in_memory()`` that does not return ``None`` is such a source; see ``lamina.data.memory``.
"""

from __future__ import annotations

from typing import Any

from lamina.core.errors import ArgumentError
from lamina.training.arrays import Data
from lamina.training.callbacks import CallbackList
from lamina.training.compiled import Compiled, as_logs
from lamina.training.progress import Progress
from lamina.training.runner import ROWS, Plan, Runner, check_form
from lamina.training.state import Training
from lamina.training.step import Step


def in_memory(source: Any, ordered: bool = False) -> Any:
    """The arrays behind a source of batches, or ``None``.

    Args:
        source: what ``fit`` and the others were given.
        ordered: whether the rows have to come in their own order.
    """
    find = getattr(source, "in_memory", None)
    found = find() if callable(find) else None
    return None if found is None or (ordered and found.shuffled) else found


class LoaderRunner(Runner):
    """Runs training steps over the arrays of a loader or pipeline, in its order.

    Args:
        training: the state of the model.
        compiled: how it was compiled.
        source: the arrays and their orders.
        data: the arrays, checked.
        limit: end an epoch after this many batches.
        listeners: who is told.
        progress: what is shown.
    """

    def __init__(
        self,
        training: Training,
        compiled: Compiled,
        source: Any,
        data: Data,
        limit: int | None,
        listeners: CallbackList,
        progress: Progress,
    ) -> None:
        self.source = source
        plan = Plan(source.rows, source.batch_size, limit, "steps_per_epoch")
        super().__init__(training, compiled, plan, data, "train", listeners, progress)

    def _step(self, batch: int) -> Step:
        return self.training.steps.train(self.data, batch, self.source.shuffled)

    def _position(self) -> int:
        return self._seen

    def _begin_pass(self) -> None:
        self._order, self._seen = self.source.begin(self._position)

    def state(self) -> dict[str, Any]:
        """Where in the data this is: plain data and arrays."""
        return {
            "rows": self.data.rows,
            "batch": self.plan.batch,
            "first": self._first,
            "seen": self._seen,
            "open": self._seen < self.plan.batches,
            "source": self.source.state(),
            "returned": as_logs(self._returned) if self.custom and self._returned is not None else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on there.

        Raises:
            ArgumentError: it is a place in other data.
        """
        check_form(state, ROWS)
        found = {"rows": self.data.rows, "batch": self.plan.batch}
        wanted = {"rows": state.get("rows"), "batch": state.get("batch")}
        if found != wanted:
            raise ArgumentError(
                f"The run that is to go on was trained with {wanted}, and now it is {found}. Give the same data."
            )
        self._first, self._seen, self._returned = state["first"], state["seen"], state["returned"]
        self._order = self.source.load_state(state["source"], self._position, state["open"])

    def prepare_steps(self) -> None:
        """Capture the steps, which makes all variables that they need."""
        if not self.source.shuffled or self._order is not None:
            self._prepare(self._inputs(), 0, self.plan.batches)
