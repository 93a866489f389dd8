"""Transfer learning: start from a trained network instead of from nothing.

``adapt`` builds the network for one of the four cases of the textbooks; ``freeze``, ``unfreeze``, ``features``,
``learning_rates``, ``GradualUnfreezing`` and ``add_lora`` are the parts.  What is frozen stays the same to the bit:
weights, and the statistics of normalization.  Freezing takes effect at once; compile again after thawing, because an
optimizer keeps values for the weights that it knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lamina import layers
from lamina.callbacks import Callback
from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.layers import Layer
from lamina.layers.low_rank import LowRankUpdate
from lamina.models import Model
from lamina.optimizers import MultiOptimizer, Optimizer, OptimizerMap
from lamina.optimizers.schedules import LearningRateSchedule
from lamina.serialization import deserialize, is_serialized, register_serializable, serialize
from lamina.tensor import Variable

Place = str | int | Layer
CASES = ("small", "large")
TASKS = ("similar", "different")


# --- which layers are trained --------------------------------------------------------------------
def freeze(model: Any, until: Place | None = None) -> Any:
    """Let training leave layers as they are, their weights and their statistics.

    Args:
        model: a model, or a layer.
        until: the last layer to freeze, by name, number or itself; default all.  Layers of models inside the
            model count one by one, where they stand.

    Returns:
        The model.

    Raises:
        ArgumentError: the model has no such layer.

    Example:
        >>> import lamina
        >>> from lamina import layers, transfer
        >>> model = lamina.Sequential([layers.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")])
        >>> [v.shape for v in transfer.freeze(model, "a").trainable_variables]
        [(3, 2), (2,)]
    """
    if until is None:
        model.trainable = False
        return model
    ordered = list(_in_order(model))
    for layer in ordered[: _index(model, ordered, until) + 1]:
        layer.trainable = False
    return model


def unfreeze(model: Any, from_layer: Place | None = None, normalization: bool = True) -> Any:
    """Let training change a layer and all after it; what stands before is frozen.

    Args:
        model: a model, or a layer.
        from_layer: the first layer to train, by name, number or itself; default all of them.
        normalization: whether batch normalization is trained too.  With few images in a batch its new statistics
            are worse than those it has, and it is better left as it is.

    Returns:
        The model.

    Raises:
        ArgumentError: the model has no such layer.
    """
    ordered = list(_in_order(model))
    first = 0 if from_layer is None else _index(model, ordered, from_layer)
    model.trainable = True
    for layer in ordered[:first]:
        layer.trainable = False
    if not normalization:
        for layer in model._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
    return model


def _in_order(model: Any) -> Iterator[Any]:
    """The layers, those of inner models one by one."""
    for layer in model.layers if isinstance(model, Model) else [model]:
        if isinstance(layer, Model) and layer is not model:
            yield from _in_order(layer)
        else:
            yield layer


def _index(model: Any, ordered: Sequence[Any], place: Place) -> int:
    if isinstance(place, int):
        if not -len(ordered) <= place < len(ordered):
            raise ArgumentError(f"Model {model.name!r} has {len(ordered)} layers and no layer number {place}.")
        return place % len(ordered)
    for i, layer in enumerate(ordered):
        if layer is place or layer.name == place:
            return i
    names = ", ".join(layer.name for layer in ordered if layer.weights)
    wanted = place.name if isinstance(place, Layer) else place
    hint = did_you_mean(wanted, [layer.name for layer in ordered])
    raise ArgumentError(f"Model {model.name!r} has no layer {wanted!r}.{hint} Those with weights: {names}.")


# --- what a network sees -------------------------------------------------------------------------
def features(model: Model, layer: Place = -2, pooling: str | None = None) -> Model:
    """The model up to a layer, with the same layers and weights: from inputs to that layer's output.

    Args:
        model: a functional or sequential model.
        layer: a layer of the model, by name, number or itself; default the last but one.
        pooling: of feature maps: ``"avg"`` or ``"max"`` over all places, or nothing.

    Returns:
        A model; ``predict`` gives the features as an array, for a classifier of any kind.

    Raises:
        ArgumentError: the model has no such layer, or an unknown ``pooling``.

    Example:
        >>> import lamina
        >>> from lamina import layers, transfer
        >>> model = lamina.Sequential([layers.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")])
        >>> transfer.features(model, "a").output_shape
        (None, 3)
    """
    if isinstance(layer, Layer):
        found: Any = layer
    else:
        found = model.get_layer(layer) if isinstance(layer, str) else model.get_layer(index=layer)
    output = found.output
    poolings = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    if pooling is not None:
        if pooling not in poolings:
            raise ArgumentError(f"pooling is None, 'avg' or 'max'; got {pooling!r}.")
        output = poolings[pooling]()(output) if len(output.shape) == 4 else output
    inputs = model.inputs
    return Model(inputs[0] if len(inputs) == 1 else inputs, output)


def adapt(
    base: Model,
    classes: int,
    data: str = "small",
    task: str = "similar",
    layer: Place = -1,
    pooling: str = "avg",
    classifier_activation: str | None = "softmax",
) -> Model:
    """A classifier on a trained network, frozen or not as the textbooks advise.

    ==============  ==========================================  ===================================================
    data            similar task                                different task
    ==============  ==========================================  ===================================================
    ``"small"``     all frozen but the new classifier           the same on earlier activations: give ``layer``
    ``"large"``     all trained, but for the statistics; with   all trained, the network's weights being a good
                    a small learning rate, see                  beginning
                    ``learning_rates``, ``GradualUnfreezing``
    ==============  ==========================================  ===================================================

    Args:
        base: a trained network without its classifier: ``include_top=False``.
        classes: number of outputs.
        data: ``"small"`` or ``"large"``.
        task: ``"similar"`` to the one that the network was trained for, or ``"different"``.
        layer: the layer whose output is classified; default the last.
        pooling: of feature maps: ``"avg"`` or ``"max"`` over all places.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.

    Returns:
        A model that shares its layers with ``base``; to be compiled.

    Raises:
        ArgumentError: an unknown case, or a small different task without ``layer``.

    Example:
        >>> from lamina import applications, transfer
        >>> base = applications.MobileNetV2(include_top=False, input_shape=(32, 32, 3), alpha=0.35)
        >>> model = transfer.adapt(base, classes=5)
        >>> [v.shape for v in model.trainable_variables]
        [(1280, 5), (5,)]
    """
    if data not in CASES or task not in TASKS:
        raise ArgumentError(f"data is one of {CASES} and task one of {TASKS}; got {data!r} and {task!r}.")
    if (data, task) == ("small", "different") and layer == -1:
        raise ArgumentError("For a small different task give layer=: one in the middle, whose features are general.")
    body = features(base, layer, pooling)
    if data == "small":
        freeze(body)
    else:
        unfreeze(body, normalization=task == "different")
    output = layers.Dense(classes, activation=classifier_activation, name="classifier")(body.output)
    return Model(body.input, output, name=f"{base.name}_adapted")


# --- how fast they are trained -------------------------------------------------------------------
@register_serializable("lamina.transfer")
class Scaled(LearningRateSchedule):
    """Another schedule times a factor.

    Args:
        schedule: the schedule.
        factor: the factor.
    """

    def __init__(self, schedule: Any, factor: float) -> None:
        self.schedule = deserialize(schedule) if is_serialized(schedule) else schedule
        self.factor = factor

    def __call__(self, step: Any) -> Any:
        """The other schedule's rate at this step, times the factor."""
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"schedule": serialize(self.schedule), "factor": self.factor}


def learning_rates(model: Any, optimizer: Optimizer, factors: Mapping[Any, float] | float) -> MultiOptimizer:
    """An optimizer with another learning rate for each part of the model: small for what knows much already.

    Args:
        model: the model.
        optimizer: whose kind and settings all parts have; it is not changed.
        factors: of its learning rate: ``{layer: factor}``, each from that layer (by name, number or itself) to
            before the next one; or one number, for every layer's factor over that of the next layer with weights.

    Returns:
        The optimizer to compile the model with.

    Raises:
        ArgumentError: a layer is not there, or a trained layer stands before the first named one.

    Source: Howard and Ruder, "Universal language model fine-tuning for text classification", 2018.

    Example:
        >>> import lamina
        >>> from lamina import layers, transfer
        >>> model = lamina.Sequential([layers.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")])
        >>> optimizer = transfer.learning_rates(model, lamina.optimizers.SGD(1.0), {"a": 0.01, "b": 1.0})
        >>> sorted(float(part.learning_rate) for part in optimizer.optimizers)
        [0.009999999776482582, 1.0]
    """
    ordered = list(_in_order(model))
    weighted = [i for i, layer in enumerate(ordered) if layer.trainable_weights]
    if isinstance(factors, Mapping):
        starts = sorted((_index(model, ordered, place), float(factor)) for place, factor in factors.items())
    else:
        starts = [(i, float(factors) ** (len(weighted) - 1 - k)) for k, i in enumerate(weighted)]
    if not starts or (weighted and weighted[0] < starts[0][0]):
        first = ordered[weighted[0]].name if weighted else None
        raise ArgumentError(f"learning_rates: no factor is given for layer {first!r}: name it, or freeze it.")
    ends = [i for i, _ in starts[1:]] + [len(ordered)]
    made = [_with_rate(optimizer, factor, number) for number, (_, factor) in enumerate(starts)]
    groups = OptimizerMap(made[-1])
    for (start, _), end, part in zip(starts[:-1], ends[:-1], made[:-1], strict=True):
        paths = [re.escape(v.path) for layer in ordered[start:end] for v in layer.weights]
        if paths:
            groups["|".join(paths)] = part
    return MultiOptimizer(groups)


def _with_rate(optimizer: Optimizer, factor: float, number: int) -> Any:
    rate = optimizer._learning_rate
    if isinstance(rate, LearningRateSchedule):
        rate = Scaled(rate, factor)
    elif isinstance(rate, Variable):
        rate = float(rate.numpy()) * factor
    else:
        raise ArgumentError(f"learning_rates: the optimizer's rate is a number or a schedule, got {rate!r}.")
    config = optimizer.get_config()
    return type(optimizer).from_config({**config, "learning_rate": rate, "name": f"{optimizer.name}_{number}"})


class GradualUnfreezing(Callback):
    """Train the last layers first, and more of them every few epochs.

    What is not trained yet is frozen.

    Args:
        from_layers: the first trained layer at each stage, by name, number or itself: ``["classifier",
            "block5_conv1", "block1_conv1"]``.
        epochs: how long each stage takes; the last one goes on.
        normalization: as for ``unfreeze``.

    Source: Howard and Ruder, "Universal language model fine-tuning for text classification", 2018.
    """

    def __init__(self, from_layers: Sequence[Place], epochs: int = 1, normalization: bool = True) -> None:
        super().__init__()
        if not from_layers or epochs < 1:
            raise ArgumentError(f"GradualUnfreezing: some layers and epochs >= 1; got {from_layers!r} and {epochs}.")
        self.from_layers, self.epochs, self.normalization = list(from_layers), epochs, normalization

    def on_train_begin(self, logs: Any = None) -> None:
        """Let the optimizer know all weights that will be trained."""
        model: Any = self.model
        ordered = list(_in_order(model))
        earliest = min(self.from_layers, key=lambda place: _index(model, ordered, place))
        unfreeze(model, earliest, self.normalization)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        unfreeze(model, self.from_layers[0], self.normalization)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Go on to the stage of this epoch."""
        stage = min(epoch // self.epochs, len(self.from_layers) - 1)
        unfreeze(self.model, self.from_layers[stage], self.normalization)


# --- updates of low rank -------------------------------------------------------------------------
def add_lora(
    model: Any, rank: int, alpha: float | None = None, names: Sequence[str] | None = None, train: Sequence[str] = ()
) -> Any:
    """Freeze a model and train an update of low rank beside the weights of its dense and attention layers.

    Args:
        model: the model, built.
        rank: of the updates.
        alpha: factor of the updates times the rank; default ``rank``.
        names: only layers with these names; default every ``Dense`` and ``EinsumDense``, those inside attention
            layers too.
        train: names of layers that are trained as a whole, such as a new classifier.

    Returns:
        The model; compile it before training.

    Raises:
        ArgumentError: no layer takes an update, or one has an update already.

    Source: Hu and others, "LoRA: low-rank adaptation of large language models", 2021.

    Example:
        >>> import lamina
        >>> from lamina import layers, transfer
        >>> model = lamina.Sequential([layers.Input((64,)), layers.Dense(64, name="a"), layers.Dense(2, name="b")])
        >>> model = transfer.add_lora(model, rank=1, train=["b"])
        >>> [v.shape for v in model.trainable_variables]
        [(64, 1), (1, 64), (64, 2), (2,)]
    """
    every = model._flatten_layers()
    whole = {id(x) for layer in every if layer.name in train for x in layer._flatten_layers()}
    if names is None:
        chosen = [layer for layer in every if isinstance(layer, layers.Dense | layers.EinsumDense)]
    else:
        chosen = [layer for layer in every if layer.name in names]
    adapted: list[Any] = [x for x in chosen if isinstance(x, LowRankUpdate) and id(x) not in whole]
    if not adapted:
        raise ArgumentError(f"add_lora: model {model.name!r} has no dense or attention layer to adapt.")
    model.trainable = True
    for layer in adapted:
        layer.enable_lora(rank, alpha)
    changed = whole | {id(layer) for layer in adapted}
    for layer in every:
        if id(layer) in whole:
            continue
        if not any(id(inner) in changed for inner in layer._flatten_layers()):
            layer.trainable = False
            continue
        parts = {id(v) for v in layer._update[:2]} if id(layer) in changed else set()
        for variable in layer._own_variables():
            variable.trainable = id(variable) in parts
    return model
