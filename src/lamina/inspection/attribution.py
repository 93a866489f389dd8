"""Which parts of an input a prediction rests on: saliency, SmoothGrad, integrated gradients, Grad-CAM."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import nn
from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten, map_tree
from lamina.inspection.kept import kept_with
from lamina.inspection.layers import (
    Place,
    as_tensors,
    channel_axis,
    find_layer,
    image_format,
    inner_layers,
    outputs_of,
    with_batch,
)
from lamina.inspection.scores import Scorer
from lamina.models import Model


def saliency(
    model: Model,
    x: Any,
    target: Any = None,
    output: Any = None,
    layer: Place | None = None,
    logits: bool = True,
    batch_size: int = 32,
) -> Any:
    """The gradient of a score with respect to the input: ``d score / d x``.

    Args:
        model: any model.
        x: inputs, a batch or one sample.
        target: what to explain: the number of an output (a class), one for each sample, or a function from the
            model's outputs to scores; default the highest output of each sample.
        output: which output of a model with several: its number or key.
        layer: gradient with respect to this layer's output instead, such as that of an ``Embedding``.
        logits: explain the score from before the softmax or sigmoid at the end of the model, if there is one: a
            probability also grows when all others shrink.
        batch_size: samples at a time.

    Returns:
        Gradients in the shape of ``x`` (in the nesting of several inputs, ``None`` for integers), or of the layer's
        output.

    Raises:
        ArgumentError: there is no such output or layer, or the inputs are integers and ``layer`` is not given.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013.

    Example:
        >>> import lamina
        >>> import numpy as np
        >>> dense = lamina.layers.Dense(2, "softmax", use_bias=False)
        >>> model = lamina.Sequential([lamina.Input((3,)), dense])
        >>> dense.set_weights([np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])])
        >>> saliency(model, np.ones((1, 3)), target=1).tolist()
        [[2.0, 4.0, 6.0]]
    """
    scorer = Scorer(model, x, target, output, logits, layer)
    return scorer.of_inputs(scorer(batch_size=batch_size)[1])


def smooth_grad(
    model: Model,
    x: Any,
    target: Any = None,
    output: Any = None,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    logits: bool = True,
    batch_size: int = 32,
) -> Any:
    """The mean of ``saliency`` over noisy copies of the input, which shows less of the gradient's own noise.

    Args:
        model: any model with floating-point inputs.
        x: inputs, a batch or one sample.
        target: as for ``saliency``; where it is ``None``, the highest output without noise.
        output: as for ``saliency``.
        samples: how many noisy copies.
        noise: standard deviation of the normal noise, as a share of each sample's range.
        seed: of the noise.
        logits: as for ``saliency``.
        batch_size: samples at a time.

    Returns:
        Gradients in the shape of ``x``.

    Raises:
        ArgumentError: as for ``saliency``, or ``samples`` is less than 1, or ``noise`` negative.

    Source: Smilkov and others, "SmoothGrad: removing noise by adding noise", 2017.
    """
    if samples < 1 or noise < 0:
        raise ArgumentError(f"smooth_grad: samples >= 1 and noise >= 0; got {samples} and {noise}.")
    scorer = Scorer(model, x, target, output, logits, repeats=samples)
    rng = np.random.default_rng(seed)
    totals = [np.zeros(scorer.inputs[i].shape, np.float64) for i in scorer.floating]
    for _ in range(samples):
        inputs = list(scorer.inputs)
        for i in scorer.floating:
            a = inputs[i]
            axes = tuple(range(1, a.ndim))
            spread = noise * (a.max(axes, keepdims=True) - a.min(axes, keepdims=True))
            inputs[i] = a + (rng.standard_normal(a.shape) * spread).astype(a.dtype)
        for total, gradient in zip(totals, scorer(inputs, batch_size=batch_size)[1], strict=True):
            total += gradient
    return scorer.of_inputs([(total / samples).astype(np.float32) for total in totals])


def integrated_gradients(
    model: Model,
    x: Any,
    target: Any = None,
    output: Any = None,
    baseline: Any = 0.0,
    steps: int = 32,
    layer: Place | None = None,
    logits: bool = True,
    batch_size: int = 32,
) -> Any:
    """How much each input adds to a score: ``(x - b) * integral of d score / d x along the line from b to x``.

    The sum over an input is ``score(x) - score(b)``, but for the error of the integral (Gauss and Legendre's rule).

    Args:
        model: any model with floating-point inputs, or one whose ``layer`` makes them.
        x: inputs, a batch or one sample.
        target: as for ``saliency``.
        output: as for ``saliency``.
        baseline: ``b``, an input that says nothing: a number, or an array that broadcasts to the input.
        steps: points on the line.
        layer: go along the line at this layer's output instead.
        logits: as for ``saliency``.
        batch_size: samples at a time.

    Returns:
        Attributions in the shape of ``x``, or of the layer's output.

    Raises:
        ArgumentError: as for ``saliency``, or ``steps`` is less than 1.

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", 2017.

    Example:
        >>> import lamina
        >>> import numpy as np
        >>> model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Lambda(lambda x: x[:, :1] * x[:, 1:])])
        >>> integrated_gradients(model, np.asarray([[2.0, 3.0]])).round(4).tolist()
        [[3.0, 3.0]]
    """
    if steps < 1:
        raise ArgumentError(f"integrated_gradients: steps >= 1; got {steps}.")
    scorer = Scorer(model, x, target, output, logits, layer, repeats=steps)
    if scorer.layer is None:
        ends = [scorer.inputs[i] for i in scorer.floating]
    else:
        value = scorer(batch_size=batch_size)[2]
        assert value is not None
        ends = [value]
    starts = [np.broadcast_to(np.asarray(baseline, dtype=end.dtype), end.shape) for end in ends]
    totals = [np.zeros(end.shape, np.float64) for end in ends]
    points, weights = np.polynomial.legendre.leggauss(steps)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        between = [(b + point * (e - b)).astype(e.dtype) for b, e in zip(starts, ends, strict=True)]
        if scorer.layer is None:
            inputs = list(scorer.inputs)
            for i, array in zip(scorer.floating, between, strict=True):
                inputs[i] = array
            gradients = scorer(inputs, batch_size=batch_size)[1]
        else:
            gradients = scorer(value=between[0], batch_size=batch_size)[1]
        for total, gradient in zip(totals, gradients, strict=True):
            total += weight * gradient
    return scorer.of_inputs(
        [((e - b) * total).astype(np.float32) for b, e, total in zip(starts, ends, totals, strict=True)]
    )


def grad_cam(
    model: Model,
    x: Any,
    target: Any = None,
    layer: Place | None = None,
    output: Any = None,
    logits: bool = True,
    resize: bool = True,
    normalize: bool = True,
    batch_size: int = 32,
) -> np.ndarray:
    """Where in an image a class was seen: ``relu(sum over k of w_k A_k)`` over the channels ``A_k`` of feature maps.

    ``w_k`` is the mean of ``d score / d A_k`` over all places.

    Args:
        model: any model with convolutions.
        x: images (or sequences, or volumes), a batch or one.
        target: as for ``saliency``.
        layer: whose feature maps ``A``; default the last layer that puts out feature maps.
        output: as for ``saliency``.
        logits: as for ``saliency``.
        resize: make the maps as large as the images, linearly between the places.
        normalize: divide each map by its greatest value.
        batch_size: samples at a time.

    Returns:
        float32 ``(n, height, width)``: 0 where nothing spoke for the class, large where much did.

    Raises:
        ArgumentError: the layer is not there, or does not put out feature maps; otherwise as for ``saliency``.

    Source: Selvaraju and others, "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", 2017.

    Example:
        >>> import lamina
        >>> grad_cam(lamina.applications.LeNet(), lamina.ones((2, 28, 28, 1)), target=3).shape
        (2, 28, 28)
    """
    chosen = last_feature_maps(model, x) if layer is None else find_layer(model, layer)
    scorer = Scorer(model, x, target, output, logits, chosen)
    _, gradients, maps = scorer(batch_size=batch_size)
    assert maps is not None
    if maps.ndim not in (3, 4, 5):
        raise ArgumentError(f"grad_cam: layer {chosen.name!r} puts out shape {maps.shape}, not feature maps.")
    axis = channel_axis(model, chosen, maps.ndim)
    spatial = tuple(a for a in range(1, maps.ndim) if a != axis)
    weights = gradients[0].mean(spatial, keepdims=True)
    heat = np.maximum((weights * maps).sum(axis), 0).astype(np.float32)
    if resize:
        size = _spatial_size(model, scorer, heat.ndim - 1)
        heat = np.asarray(nn.resize(heat[..., None], size, data_format="channels_last"))[..., 0]
    if normalize:
        top = heat.max(tuple(range(1, heat.ndim)), keepdims=True)
        heat = heat / np.where(top > 0, top, 1)
    return heat


def last_feature_maps(model: Model, x: Any) -> Any:
    """The last layer that runs and puts out feature maps, of as many axes as its convolutions'."""
    convolutions = [layer for layer in inner_layers(model) if hasattr(layer, "kernel_size")]
    if not convolutions:
        raise ArgumentError(f"grad_cam: model {model.name!r} has no convolutions; name the layer with feature maps.")
    rank = max(len(layer.kernel_size) for layer in convolutions) + 2
    one = map_tree(lambda a: a[:1] if a.ndim else a, as_tensors(with_batch(model, x)))

    def find() -> Any:
        found = None
        for layer, _, values in outputs_of(model, one):
            if len(values) == 1 and values[0].ndim == rank and not isinstance(layer, Model):
                axis = channel_axis(model, layer, rank)
                if all(n > 1 for a, n in enumerate(values[0].shape) if a not in (0, axis)):
                    found = layer
        if found is None:
            raise ArgumentError(
                f"grad_cam: no layer of model {model.name!r} puts out feature maps of more than one place."
            )
        return found

    return kept_with(model, ("last feature maps", *[leaf.shape for leaf in flatten(one)[0]]), find)


def _spatial_size(model: Model, scorer: Scorer, count: int) -> tuple[int, ...]:
    """The size of the input with as many spatial axes as the feature maps."""
    for array in scorer.inputs:
        if array.ndim == count + 2:
            return array.shape[2:] if image_format(model) == "channels_first" else array.shape[1:-1]
    raise ArgumentError(
        f"grad_cam: no input has {count} spatial axes, to whose size the maps could be brought; use resize=False."
    )
