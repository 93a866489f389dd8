"""LoRA: a frozen weight and a small trained update of low rank beside it.

E. J. Hu et al., `LoRA: Low-Rank Adaptation of Large Language Models <https://arxiv.org/abs/2106.09685>`_, 2021.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from lamina import initializers, ops
from lamina.core.errors import ArgumentError
from lamina.tensor import Variable


class LowRankUpdate:
    """For layers with one large weight ``W``: with ``enable_lora`` they compute with ``W + alpha / rank * A @ B``.

    ``W`` is frozen, ``A`` (its last axis ``rank``) and ``B`` (``rank`` by the last axis of ``W``) are trained.
    Files of Keras's formats hold the sum; Lamina's own hold the three apart.

    Attributes:
        lora_enabled: whether there is an update.
        lora_rank: its rank.
        lora_alpha: the factor of the update, times its rank.
    """

    _adapted = "kernel"
    lora_enabled = False
    lora_rank: int | None = None
    lora_alpha: float | None = None

    def _set_lora(self, rank: int | None, alpha: float | None) -> None:
        """Keep the constructor's arguments; ``build`` does the rest."""
        if rank is not None:
            self.lora_rank, self.lora_alpha = _check_rank(rank), rank if alpha is None else alpha

    def _build_lora(self) -> None:
        """At the end of ``build``: make what the constructor asked for."""
        if self.lora_rank is not None and not self.lora_enabled:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the weight and train an update of low rank instead; a model is to be compiled again afterwards.

        Args:
            rank: the rank of the update.
            lora_alpha: factor of the update times the rank; default ``rank``, for a factor of 1.
            a_initializer: initial ``A``.
            b_initializer: initial ``B``; with zeros the layer computes at first what it did before.

        Raises:
            ArgumentError: the layer is not built, has an update already, or constrains the weight.

        Example:
            >>> import lamina
            >>> layer = lamina.layers.Dense(8)
            >>> layer.build((None, 16))
            >>> layer.enable_lora(2)
            >>> [(v.name, v.trainable) for v in layer.weights]
            [('kernel', False), ('bias', True), ('lora_kernel_a', True), ('lora_kernel_b', True)]
        """
        layer: Any = self
        name = self._adapted
        if getattr(layer, f"{name}_constraint"):
            raise ArgumentError(
                f"Layer {layer.name!r}: LoRA is incompatible with {name.removesuffix('s')} constraints, which would "
                f"have to hold for a sum. Make the layer without {name}_constraint."
            )
        if not (layer.built or layer._building):
            raise ArgumentError(f"Layer {layer.name!r} cannot enable lora: it isn't yet built. Call it once before.")
        if self.lora_enabled:
            raise ArgumentError(f"Layer {layer.name!r}: lora is already enabled.")
        rank = _check_rank(rank)
        base: Variable = self._base
        options = {"regularizer": getattr(layer, f"{name}_regularizer"), "dtype": base.dtype}
        shapes = {"a": (*base.shape[:-1], rank), "b": (rank, base.shape[-1])}
        for part, initializer in (("a", a_initializer), ("b", b_initializer)):
            made = layer.add_weight(shapes[part], initializers.get(initializer), name=f"lora_{name}_{part}", **options)
            setattr(self, f"lora_{name}_{part}", made)
        base.trainable, layer._kept_frozen = False, (base,)
        self.lora_enabled, self.lora_rank = True, rank
        self.lora_alpha = rank if lora_alpha is None else lora_alpha

    @property
    def _base(self) -> Any:
        """The weight itself."""
        return getattr(self, f"_{self._adapted}")

    @property
    def _update(self) -> tuple[Any, Any, float]:
        """``A``, ``B`` and the factor of their product."""
        assert self.lora_rank and self.lora_alpha is not None
        a, b = (getattr(self, f"lora_{self._adapted}_{part}") for part in "ab")
        return a, b, self.lora_alpha / self.lora_rank

    def _effective(self) -> Any:
        """The weight that the layer computes with."""
        if not self.lora_enabled:
            return self._base
        a, b, scale = self._update
        return ops.add(self._base, ops.multiply(ops.matmul(a, b), scale))

    def _lora_config(self) -> dict[str, Any]:
        return {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha} if self.lora_rank is not None else {}

    # --- files of Keras's formats -------------------------------------------------------------------
    def _stored_variables(self) -> list[Variable]:
        layer: Any = self
        if not self.lora_enabled:
            return layer._own_variables()
        return [v for v in layer._own_variables() if not any(v is part for part in self._update[:2])]

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        for i, variable in enumerate(self._stored_variables()):
            store[str(i)] = np.asarray(self._effective()) if variable is self._base else variable.numpy()

    def _after_loading(self) -> None:
        """What was loaded is the sum: the update starts anew."""
        if self.lora_enabled:
            b = self._update[1]
            b.assign(np.zeros(b.shape, b.dtype))


def adapted(name: str) -> Any:
    """The property of a layer that gives the weight it computes with; setting it sets the weight itself."""

    def get(self: Any) -> Any:
        if f"_{name}" not in vars(self):
            raise AttributeError
        return self._effective()

    def put(self: Any, value: Any) -> None:
        setattr(self, f"_{name}", value)

    return property(get, put, doc=f"The {name} that the layer computes with: with LoRA a sum, else the weight.")


def _check_rank(rank: Any) -> int:
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or rank < 1:
        raise ArgumentError(f"The rank of LoRA is an integer of at least 1, got {rank!r}.")
    return int(rank)
