"""Modules without weights: activations, pooling, dropout, padding, losses.  Each is a function with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lamina.compat.torch import functions
from lamina.compat.torch.nn import functional as F
from lamina.compat.torch.nn.module import Module


class _Function(Module):
    """A function of ``torch.nn.functional`` with its keyword arguments fixed when the module is made."""

    _function: Callable[..., Any]
    _inputs = 1
    _names: tuple[str, ...] = ()
    _with_training = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        given = type(self)._signature.bind(*args, **kwargs)
        given.apply_defaults()
        for name, value in given.arguments.items():
            if name in self._tensors and value is not None:
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)
        self._settings = tuple(given.arguments)

    _tensors = ("weight", "pos_weight")
    _signature: inspect.Signature

    def forward(self, *inputs: Any) -> Any:
        """The function of the inputs."""
        settings = {name: getattr(self, name) for name in self._settings}
        if self._with_training:
            settings["training"] = self.training
        return type(self)._function(*inputs, **settings)

    def extra_repr(self) -> str:
        shown = [n for n in self._settings if n not in ("inplace", *self._tensors) and self._inputs == 1]
        return ", ".join(f"{n}={getattr(self, n)}" for n in shown)


def _module(name: str, function: Callable[..., Any], inputs: int = 1, training: bool = False) -> Any:
    """A class of modules for a function whose first parameters are tensors."""
    parameters = list(inspect.signature(function).parameters.values())[inputs:]
    parameters = [p for p in parameters if p.name != "training"]
    text = (inspect.getdoc(function) or "").split("\n\n")[0]
    made: Any = type(
        name,
        (_Function,),
        {
            "__module__": __name__,
            "__doc__": f"{text}\n\nThe arguments are those of ``torch.nn.functional.{function.__name__}``.",
            "_function": staticmethod(function),
            "_signature": inspect.Signature(parameters),
            "_inputs": inputs,
            "_with_training": training,
        },
    )
    return made


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with PyTorch's argument ``inplace``, which changes nothing here."""

    def with_inplace(input: Any, inplace: bool = False) -> Any:
        return function(input)

    with_inplace.__name__, with_inplace.__doc__ = function.__name__, function.__doc__
    return with_inplace


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(input: Any) -> Any:
        return function(input)

    one.__name__, one.__doc__ = function.__name__, function.__doc__
    return one


ReLU = _module("ReLU", _in_place(functions.relu))
ReLU6 = _module("ReLU6", _in_place(F.relu6))
SELU = _module("SELU", _in_place(F.selu))
Mish = _module("Mish", _in_place(F.mish))
Hardswish = _module("Hardswish", _in_place(F.hardswish))
Hardsigmoid = _module("Hardsigmoid", _in_place(F.hardsigmoid))
Sigmoid = _module("Sigmoid", _plain(functions.sigmoid))
Tanh = _module("Tanh", _plain(functions.tanh))
Tanhshrink = _module("Tanhshrink", _plain(F.tanhshrink))
Softsign = _module("Softsign", _plain(F.softsign))
LogSigmoid = _module("LogSigmoid", _plain(F.logsigmoid))
SiLU = _module("SiLU", F.silu)
LeakyReLU = _module("LeakyReLU", F.leaky_relu)
ELU = _module("ELU", F.elu)
CELU = _module("CELU", F.celu)
GELU = _module("GELU", F.gelu)
GLU = _module("GLU", F.glu)
Hardtanh = _module("Hardtanh", F.hardtanh)
Hardshrink = _module("Hardshrink", F.hardshrink)
Softshrink = _module("Softshrink", F.softshrink)
Softplus = _module("Softplus", F.softplus)
Threshold = _module("Threshold", F.threshold)


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    def along(input: Any, dim: int | None = None) -> Any:
        return function(input, dim)

    along.__name__, along.__doc__ = function.__name__, function.__doc__
    return along


Softmax = _module("Softmax", _over(F.softmax))
LogSoftmax = _module("LogSoftmax", _over(F.log_softmax))
Softmax2d = _module("Softmax2d", _plain(F.softmax2d))
LocalResponseNorm = _module("LocalResponseNorm", F.local_response_norm)
Softmin = _module("Softmin", F.softmin)

MaxPool1d, MaxPool2d, MaxPool3d = (_module(f"MaxPool{r}d", getattr(F, f"max_pool{r}d")) for r in (1, 2, 3))
AvgPool1d, AvgPool2d, AvgPool3d = (_module(f"AvgPool{r}d", getattr(F, f"avg_pool{r}d")) for r in (1, 2, 3))
AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = (
    _module(f"AdaptiveAvgPool{r}d", getattr(F, f"adaptive_avg_pool{r}d")) for r in (1, 2, 3)
)
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = (
    _module(f"AdaptiveMaxPool{r}d", getattr(F, f"adaptive_max_pool{r}d")) for r in (1, 2, 3)
)

Dropout = _module("Dropout", F.dropout, training=True)
Dropout1d = _module("Dropout1d", F.dropout1d, training=True)
Dropout2d = _module("Dropout2d", F.dropout2d, training=True)
Dropout3d = _module("Dropout3d", F.dropout3d, training=True)


def _padding(rank: int, mode: str) -> Callable[..., Any]:
    def padded(input: Any, padding: Any, value: float = 0.0) -> Any:
        widths = (padding,) * (2 * rank) if isinstance(padding, int) else padding
        return F.pad(input, widths, mode, value)

    padded.__name__, padded.__doc__ = "pad", f"Padding of the last {rank} dimensions, mode {mode!r}."
    return padded


ConstantPad1d, ConstantPad2d = (_module(f"ConstantPad{r}d", _padding(r, "constant")) for r in (1, 2))
ZeroPad1d, ZeroPad2d = (_module(f"ZeroPad{r}d", _padding(r, "constant")) for r in (1, 2))
ReflectionPad1d, ReflectionPad2d = (_module(f"ReflectionPad{r}d", _padding(r, "reflect")) for r in (1, 2))
ReplicationPad1d, ReplicationPad2d = (_module(f"ReplicationPad{r}d", _padding(r, "replicate")) for r in (1, 2))
Upsample = _module("Upsample", F.interpolate)
CosineSimilarity = _module("CosineSimilarity", F.cosine_similarity, inputs=2)
PairwiseDistance = _module("PairwiseDistance", F.pairwise_distance, inputs=2)

MSELoss = _module("MSELoss", F.mse_loss, inputs=2)
L1Loss = _module("L1Loss", F.l1_loss, inputs=2)
SmoothL1Loss = _module("SmoothL1Loss", F.smooth_l1_loss, inputs=2)
HuberLoss = _module("HuberLoss", F.huber_loss, inputs=2)
CrossEntropyLoss = _module("CrossEntropyLoss", F.cross_entropy, inputs=2)
NLLLoss = _module("NLLLoss", F.nll_loss, inputs=2)
BCELoss = _module("BCELoss", F.binary_cross_entropy, inputs=2)
BCEWithLogitsLoss = _module("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits, inputs=2)
KLDivLoss = _module("KLDivLoss", F.kl_div, inputs=2)
PoissonNLLLoss = _module("PoissonNLLLoss", F.poisson_nll_loss, inputs=2)
GaussianNLLLoss = _module("GaussianNLLLoss", F.gaussian_nll_loss, inputs=3)
HingeEmbeddingLoss = _module("HingeEmbeddingLoss", F.hinge_embedding_loss, inputs=2)
MarginRankingLoss = _module("MarginRankingLoss", F.margin_ranking_loss, inputs=3)
CosineEmbeddingLoss = _module("CosineEmbeddingLoss", F.cosine_embedding_loss, inputs=3)
TripletMarginLoss = _module("TripletMarginLoss", F.triplet_margin_loss, inputs=3)
