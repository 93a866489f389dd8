"""The errors that Lamina raises.  Each derives from the built-in error that a caller would catch."""

from __future__ import annotations

from typing import Any


class LaminaError(Exception):
    """Base of every error that Lamina raises on purpose."""


class ShapeError(LaminaError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(LaminaError, TypeError):
    """A dtype that an operation does not take, or dtypes that do not promote."""


class ArgumentError(LaminaError, ValueError):
    """An argument with a value that is not allowed."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a type that is not allowed."""


class OutOfBoundsError(ArgumentError, IndexError):
    """An index that lies outside its dimension."""


class DataError(LaminaError, ValueError):
    """Data that cannot be trained on: labels out of range, NaN, empty or mismatched arrays."""


class LinAlgError(LaminaError, ArithmeticError):
    """A matrix that is singular, not positive definite, or on which LAPACK did not converge."""


class CaptureError(LaminaError, RuntimeError):
    """Python code that needs a value while a graph is being captured."""


class RecompileError(LaminaError, RuntimeError):
    """A function was captured more often than its ``max_recompiles`` allows."""


class GraphError(LaminaError, RuntimeError):
    """A graph that breaks its own rules (found by the verifier)."""


class DifferentiationError(LaminaError, RuntimeError):
    """A gradient that does not exist or cannot be computed this way."""


class UnsupportedError(LaminaError, NotImplementedError):
    """Something that a backend or a rule does not offer, with the reason."""


class StateDictError(LaminaError, RuntimeError):
    """A state dict whose names or shapes are not those of the module."""


class FileFormatError(LaminaError, ValueError):
    """A file that is damaged or is not what it should be."""


class NonFiniteError(LaminaError, ArithmeticError):
    """NaN or infinity in training.

    Attributes:
        finding: what made it (op, layer, direction, samples), where that is known.
        replay: the file with the step.
        epoch: number of the epoch, from 0.
        step: number of the step in it, from 0.
        rows: the rows of the data that did it.
    """

    finding: Any = None
    replay: Any = None
    epoch: int | None = None
    step: int | None = None
    rows: list[int] | None = None


class NotReproducibleError(LaminaError, AssertionError):
    """Two runs that should end alike do not; says where they differ."""


class WorkerError(LaminaError, RuntimeError):
    """A worker process that failed, was killed, or gives no answer."""


class MissingExtraError(LaminaError, ImportError):
    """An optional dependency that is not installed."""


class PreflightWarning(UserWarning):
    """Something about the data, the model or its settings is probably a mistake; training goes on."""
