"""``Trainer``: the part of ``Model`` that compiles, fits, evaluates and predicts."""

from __future__ import annotations

import warnings
from typing import Any

from lamina import ops
from lamina.autodiff import GradientTape
from lamina.core.tracebacks import filtered
from lamina.layers import Layer
from lamina.serialization import deserialize, serialize


class Trainer:
    """The methods that train a model.  ``Model`` has them; a class of its own can mix them into any layer.

    A subclass may override ``train_step``, ``test_step``, ``predict_step``, ``compute_loss``, ``compute_metrics``
    and ``metrics``.  Steps of its own are captured and compiled like the built-in ones.

    Example:
        >>> import numpy as np
        >>> import lamina
        >>> class Halving(lamina.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = lamina.layers.Dense(1)
        ...     def call(self, inputs):
        ...         return self.dense(inputs)
        ...     def train_step(self, data):
        ...         x, y = data
        ...         with lamina.GradientTape() as tape:
        ...             loss = 0.5 * lamina.mean((self(x, training=True) - y) ** 2)
        ...         self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        ...         return {"loss": loss}
        >>> model = Halving()
        >>> model.compile(optimizer="sgd")
        >>> sorted(model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0).history)
        ['loss']
    """

    # Attributes whose contents are no part of the layer.
    _untracked = Layer._untracked | {"history", "optimizer", "loss", "_compile_arguments"}

    def __init__(self) -> None:
        self._training: Any = None  # what lamina.training keeps about this model
        self._compile_arguments: dict[str, Any] | None = None
        self._eager = False
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.history: Any = None
        self.optimizer: Any = None
        self.loss: Any = None

    # --- training: lamina.training.loop does the work ---------------------------------------------------
    @filtered
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Set up the model for training.

        Args:
            optimizer: name or ``Optimizer``.
            loss: name, ``Loss`` or function of ``(y_true, y_pred)``; for several outputs a list of them or
                a dict by output name, nested as the outputs are; ``None`` for outputs without a loss.
            loss_weights: factors of the losses in their sum, a list or a dict by output name.
            metrics: names, ``Metric`` objects or functions.  ``"accuracy"`` is chosen by the loss and the shapes.
            weighted_metrics: likewise, but counting with the sample weights.
            run_eagerly: run steps op by op as plain Python, to look inside.
            steps_per_execution: how many steps run between two batch events of callbacks.
            jit_compile: accepted for Keras's sake; steps are always compiled unless ``run_eagerly``.
            auto_scale_loss: whether a model of policy ``"mixed_float16"`` gets a ``LossScaleOptimizer`` around its
                optimizer; other dtypes need no scaling.

        Raises:
            ArgumentError: an unknown name, or something that is no optimizer, loss or metric.
        """
        from lamina.training import loop

        loop.compile(
            self, optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, steps_per_execution,
            jit_compile, auto_scale_loss,
        )  # fmt: skip
        self._compile_arguments = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
        }

    @filtered
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: Any = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        checkpoint: Any = None,
        resume: bool = False,
        stop_on_nan: bool = True,
        preflight: bool = True,
        record: Any = None,
    ) -> Any:
        """Train on arrays for a number of epochs.

        Args:
            x: inputs, an array with one row for each sample, or a list or dict of them, or batches.  Arrays of the
                model's dtype or of integers are used in place.
            y: targets, likewise.
            batch_size: samples per step; default 32.  The last batch of an epoch may be smaller.
            epochs: number of the epoch to stop before; from ``initial_epoch`` on.
            verbose: 0 shows nothing, 1 a bar, 2 one line per epoch; ``"auto"`` is 1, and 1 is 2 where
                standard output is no terminal.
            callbacks: list of ``Callback`` objects.
            validation_split: share of the samples, from the end, that is kept for validation; or how to choose them:
                ``lamina.data.Stratified``, ``Grouped`` or ``TimeOrdered``.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after each epoch.
            shuffle: whether each epoch takes the samples in a new order, drawn from ``lamina.random``'s default
                generator.
            class_weight: weights of the classes by number.
            sample_weight: weight of each sample in the loss.
            initial_epoch: number of the first epoch, to go on counting.
            steps_per_epoch: end an epoch after this many steps.
            validation_steps: evaluate this many batches of the validation data only.
            validation_batch_size: samples per validation step; default ``batch_size``.
            validation_freq: validate every so many epochs, or a list of the epochs (from 1) after which to.
            checkpoint: a folder, or a ``lamina.training.Checkpoint``, in which the state of training is kept.
            resume: whether to go on from what is there; the end is then that of a run never killed, to the bit.
            stop_on_nan: whether to stop at the step whose loss or weights are NaN or infinite, and keep it in a file.
            preflight: whether to look at the data and the model before the first step, and to warn of what is probably
                a mistake; ``model.preflight`` looks more closely.
            record: a folder, or a ``lamina.training.Recorder``, for checksums of every step; ``lamina why-different``
                tells by two of them where runs part, and why.

        Returns:
            The ``History``, also kept as ``model.history``.

        Raises:
            ArgumentError: an argument is out of its range, or the model is not compiled.
            DataError, ShapeError, DTypeError: the data cannot be trained on; says what and where.
            NonFiniteError: the loss or a weight is NaN or infinite; says in which layer and op, and for which samples.
            KeyboardInterrupt: on Ctrl-C, between two steps: the model keeps what it has learned and
                ``model.history`` the finished epochs.
        """
        from lamina.training import loop

        return loop.fit(
            self, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle,
            class_weight, sample_weight, initial_epoch, steps_per_epoch, validation_steps, validation_batch_size,
            validation_freq, checkpoint, resume, stop_on_nan, preflight, record,
        )  # fmt: skip

    @filtered
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on arrays.

        Args:
            x: inputs, as in ``fit``.
            y: targets, as in ``fit``.
            batch_size: samples per step; default 32.
            verbose: as in ``fit``.
            sample_weight: weight of each sample in the loss.
            steps: stop after this many batches.
            callbacks: list of ``Callback`` objects.
            return_dict: return a dict by name.

        Returns:
            The loss, or a list of the loss and the metrics, or a dict.
        """
        from lamina.training import loop

        return loop.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict)

    @filtered
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Outputs for arrays, as NumPy arrays; batch by batch.

        Args:
            x: inputs, as in ``fit``.
            batch_size: samples per step; default 32.
            verbose: as in ``fit``.
            steps: stop after this many batches.
            callbacks: list of ``Callback`` objects.
        """
        from lamina.training import loop

        return loop.predict(self, x, batch_size, verbose, steps, callbacks)

    @filtered
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One training step on one batch; metrics count this batch only.

        Args:
            x: inputs of the batch.
            y: targets of the batch.
            sample_weight: weight of each sample in the loss.
            class_weight: weights of the classes by number.
            return_dict: return a dict by name.

        Returns:
            The loss, or a list of the loss and the metrics, or a dict.
        """
        from lamina.training import loop

        return loop.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    @filtered
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics on one batch; metrics count this batch only.

        Args:
            x: inputs of the batch.
            y: targets of the batch.
            sample_weight: weight of each sample in the loss.
            return_dict: return a dict by name.
        """
        from lamina.training import loop

        return loop.test_on_batch(self, x, y, sample_weight, return_dict)

    @filtered
    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch, as NumPy arrays."""
        from lamina.training import loop

        return loop.predict_on_batch(self, x)

    def preflight(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int = 32,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
    ) -> Any:
        """Look for mistakes before training: in the data, the model and the settings.  The model stays as it is.

        Args:
            x: inputs, as in ``fit``.
            y: targets, as in ``fit``.
            sample_weight: as in ``fit``.
            batch_size: as in ``fit``.
            validation_split: as in ``fit``.
            validation_data: as in ``fit``.
            shuffle: as in ``fit``.
            class_weight: as in ``fit``.

        Returns:
            A ``Preflight`` with ``problems``; print it.
        """
        from lamina.training.preflight import preflight

        return preflight(
            self, x, y, sample_weight, batch_size, validation_split, validation_data, shuffle, class_weight
        )

    def profile(
        self, x: Any, y: Any = None, batch_size: int | None = None, seconds: float = 0.5, verbose: bool = True
    ) -> Any:
        """Measure, kernel by kernel, where the time of a training step goes; without ``y``, of a prediction.

        The model stays as it is.

        Args:
            x: inputs, as in ``fit``.
            y: targets, as in ``fit``.
            batch_size: samples of the step; default 32.
            seconds: about how long to measure.
            verbose: whether to print the table.

        Returns:
            A ``Profile``; see ``lamina.profile``.
        """
        from lamina.training.profile import profile

        return profile(self, x, y, batch_size, seconds, verbose)

    # --- one step, to be overridden -----------------------------------------------------------------
    def train_step(self, data: Any) -> dict[str, Any]:
        """One training step on a batch.

        Args:
            data: ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.

        Returns:
            What to show in logs, by name.
        """
        from lamina.training.arrays import unpack

        x, y, sample_weight = unpack(data)
        model: Any = self
        with GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        self._count_loss(loss, x)
        variables = list(model.trainable_variables)
        if variables:
            self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of ``evaluate`` on a batch; arguments and result are those of ``train_step``."""
        from lamina.training.arrays import unpack

        x, y, sample_weight = unpack(data)
        model: Any = self
        y_pred = model(x, training=False)
        self._count_loss(self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    test_step.__test__ = False  # type: ignore[attr-defined]  # a name that pytest would collect

    def predict_step(self, data: Any) -> Any:
        """The outputs for one batch of ``predict``, given ``x``."""
        from lamina.training.arrays import unpack

        model: Any = self
        return model(unpack(data)[0], training=False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss to minimise: that of ``compile``, and what layers and regularizers add.

        Args:
            x: the inputs; for subclasses that use them.
            y: the targets.
            y_pred: the outputs of the model.
            sample_weight: weights of the samples.
            training: whether the step trains; for subclasses.
        """
        from lamina.training.state import require_compiled

        compiled = require_compiled(self, "compute_loss")
        total, parts = None, []
        if compiled.loss is not None and y is not None:
            targets, predictions, weights = compiled.arrange(self, y, y_pred, sample_weight)
            total, parts = compiled.compute_loss(targets, predictions, weights)
            rows = predictions[0].shape[0] if predictions[0].shape else 1
            compiled.update_output_trackers(parts, rows)
        for extra in getattr(self, "losses", ()):
            extra = extra if not extra.shape else ops.sum(extra)
            total = extra if total is None else ops.add(total, extra)
        return ops.zeros(()) if total is None else total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Let the metrics of ``compile`` count a batch, and return the values of all metrics so far."""
        from lamina.training.state import require_compiled

        compiled = require_compiled(self, "compute_metrics")
        if y is not None:
            compiled.update_metrics(*compiled.arrange(self, y, y_pred, sample_weight))
        return self.get_metrics_result()

    def _count_loss(self, loss: Any, x: Any) -> None:
        from lamina.core.trees import flatten
        from lamina.training.state import require_compiled

        first = flatten(x)[0][0]
        require_compiled(self, "fit").loss_tracker.update_state(loss, sample_weight=float(first.shape[0]))

    # --- metrics --------------------------------------------------------------------------------------
    @property
    def metrics(self) -> list[Any]:
        """The loss, the metrics of ``compile`` as one, the losses of outputs, then the metrics of model and layers."""
        compiled = getattr(self._training, "compiled", None)
        found = [] if compiled is None else [compiled.loss_tracker]
        if self._compile_metrics is not None:
            found.append(self._compile_metrics)
        if compiled is not None:
            found += compiled.output_trackers
        return found + self._own_metrics()

    @property
    def _loss_tracker(self) -> Any:
        compiled = getattr(self._training, "compiled", None)
        return None if compiled is None else compiled.loss_tracker

    @property
    def _compile_metrics(self) -> Any:
        compiled = getattr(self._training, "compiled", None)
        return None if compiled is None else compiled.as_metric(self)

    def _own_metrics(self) -> list[Any]:
        """Metrics that are attributes, here and in the layers below; those of models inside are their own affair."""
        model: Any = self
        inside = [contents for x, contents in model._walk() if x is self or not isinstance(x, Trainer)]
        return [item for contents in inside for item in contents if getattr(item, "_role", None) == "metric"]

    def _own_optimizers(self) -> list[Any]:
        """Optimizers that are attributes, here and in the layers below, beside the one of ``compile``."""
        model: Any = self
        found = {id(x): x for _, contents in model._walk() for x in contents}
        return [x for x in found.values() if getattr(x, "_role", None) == "optimizer" and x is not self.optimizer]

    @property
    def metrics_names(self) -> list[str]:
        """Names of ``metrics``."""
        return [m.name for m in self.metrics]

    @property
    def metrics_variables(self) -> list[Any]:
        """The state of ``metrics``."""
        return [v for m in self.metrics for v in m.variables]

    def reset_metrics(self) -> None:
        """Let all metrics count from the beginning."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of all metrics so far, by name; a metric whose value is a dict adds its entries."""
        compiled = getattr(self._training, "compiled", None)
        own = type(self).metrics is not Trainer.metrics
        named = [(m.name, m) for m in self.metrics] if own or compiled is None else compiled.names()
        results: dict[str, Any] = {}
        for name, metric in named:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {name: value})
        return results

    # --- how it was compiled ------------------------------------------------------------------------
    @property
    def compiled(self) -> bool:
        """Whether ``compile`` was called."""
        return getattr(self._training, "compiled", None) is not None

    @property
    def run_eagerly(self) -> bool:
        """Whether steps run op by op as plain Python."""
        compiled = getattr(self._training, "compiled", None)
        return self._eager if compiled is None else bool(compiled.run_eagerly)

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._eager = bool(value)
        if self.compiled:
            self._training.compiled.run_eagerly = self._eager

    @property
    def jit_compile(self) -> bool:
        """Whether steps are compiled: always, unless ``run_eagerly``."""
        return not self.run_eagerly

    @jit_compile.setter
    def jit_compile(self, value: Any) -> None:
        pass

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of ``compile`` as plain data, ``None`` before it was called."""
        if self._compile_arguments is None:
            return None
        config: dict[str, Any] = serialize({"optimizer": self.optimizer, **self._compile_arguments})
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as ``get_compile_config`` says, and make the optimizer's state if the model has its weights.

        A model with a ``compile`` of its own is not compiled, with a warning, unless it overrides this too.
        """
        if type(self).compile is not Trainer.compile:
            warnings.warn(
                "`compile()` was not called as part of model loading because the model's `compile()` method is custom. "
                f"Call it yourself, or let {type(self).__name__} override compile_from_config(config), which is to "
                "know its arguments.",
                stacklevel=3,
            )
            return
        self.compile(**{k: deserialize(v) for k, v in config.items()})
        model: Any = self
        if model.built and self.optimizer is not None:
            self.optimizer.build(model.trainable_variables)
