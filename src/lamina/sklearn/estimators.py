"""The estimators: ``Classifier``, ``Regressor`` and ``Transformer``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.optional import require
from lamina.models import Model
from lamina.sklearn import networks
from lamina.sklearn.targets import Classes, Numbers
from lamina.training.history import History

PURPOSE = "lamina.sklearn"
_base: Any = require("sklearn.base", "sklearn", PURPOSE)
_validation: Any = require("sklearn.utils.validation", "sklearn", PURPOSE)
_utils: Any = require("sklearn.utils", "sklearn", PURPOSE)


class Estimator(_base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the estimators have in common: a model that is made, fitted to arrays, and asked.

    Args:
        model: a compiled ``Model``, or a function ``model(X=..., y=..., **model_kwargs)`` that returns one; a model
            is cloned, with fresh weights, at each ``fit``.  ``None``: a multilayer perceptron that suits the data.
        warm_start: whether ``fit`` goes on with the weights of the last one; a given ``Model`` is then trained
            itself.
        model_kwargs: more arguments for the function ``model``.
        fit_kwargs: arguments of ``Model.fit``; those given to ``fit`` itself go before them, and they before the
            arguments of this estimator.
        hidden_units: units of the hidden layers, where ``model`` is ``None``.
        learning_rate: of Adam, where ``model`` is ``None``.
        epochs: passes over the data.
        batch_size: samples per step.
        verbose: as in ``Model.fit``.
        random_state: an int or ``RandomState``: the same weights, order of samples and dropout in each ``fit``,
            whatever was drawn before; ``None``: new ones.

    Attributes:
        model_: the fitted model.
        history_: its ``History``.
        n_features_in_: number of features.
    """

    # What scikit-learn's metadata routing may hand to fit, which takes it among its keyword arguments.
    __metadata_request__fit = {"sample_weight": None}  # noqa: RUF012

    def __init__(
        self,
        model: Any = None,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
        *,
        hidden_units: Sequence[int] = (100,),
        learning_rate: float = 0.003,
        epochs: int = 50,
        batch_size: int = 32,
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.hidden_units = hidden_units
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.verbose = verbose
        self.random_state = random_state

    def _fit(self, X: np.ndarray, y: np.ndarray, target: Any, arguments: dict[str, Any]) -> Any:
        """Fit a model to arrays that are checked, ``target`` saying in which form it gets ``y``."""
        seed = self._get_seed()
        with networks.seeded(seed):
            model = self._get_model(X, y)
            arguments = {**self._own_fit_arguments(), **(self.fit_kwargs or {}), **arguments}
            self.history_ = model.fit(X, target.for_model(y, model), **arguments)
        self.model_ = model
        return self

    def _get_seed(self) -> int | None:
        random_state = getattr(self, "random_state", None)
        if random_state is None:
            return None
        return int(_utils.check_random_state(random_state).randint(np.iinfo(np.int32).max))

    def _own_fit_arguments(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "batch_size": self.batch_size, "verbose": self.verbose}

    def _get_model(self, X: np.ndarray, y: np.ndarray) -> Any:
        if self.warm_start and getattr(self, "model_", None) is not None:
            return self.model_
        if self.model is None:
            return self._default_model(X, y)
        if isinstance(self.model, Model):
            model: Any = self.model if self.warm_start else networks.clone_compiled(self.model)
        elif callable(self.model):
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        else:
            raise ArgumentError(
                f"{type(self).__name__}: model is a compiled lamina.Model, or a function of X and y that returns one; "
                f"got {self.model!r}."
            )
        if not isinstance(model, Model) or model.optimizer is None or model.loss is None:
            raise ArgumentError(
                f"{type(self).__name__}: the model needs a loss and an optimizer. Call "
                "model.compile(optimizer=..., loss=...) before it is handed over."
            )
        return model

    def _default_model(self, X: np.ndarray, y: np.ndarray) -> Any:
        raise NotImplementedError

    def _outputs(self, X: Any) -> np.ndarray:
        """What the fitted model predicts for arrays that are still to be checked."""
        _validation.check_is_fitted(self)
        X = _validation.validate_data(self, X, reset=False, allow_nd=True)
        outputs: np.ndarray = self.model_.predict(X, verbose=0)
        return outputs

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if isinstance(state.get("history_"), History):  # it refers to the model, which is there once already
            history = History()
            history.history, history.epoch = state["history_"].history, state["history_"].epoch
            state["history_"] = history
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = getattr(self, "random_state", None) is None
        return tags


class _Labels(_base.ClassifierMixin, Estimator):  # type: ignore[misc]
    """What classifiers have in common."""

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Fit the model.

        Args:
            X: ``(samples, features)``, or with more axes for models that take them.
            y: the labels, ``(samples,)``.
            kwargs: arguments of ``Model.fit``: ``sample_weight``, ``callbacks``, ``epochs``, ...

        Returns:
            The estimator itself.

        Raises:
            ArgumentError: the model is none, or not compiled.
            ValueError: the data are not finite numbers, or there is only one class.
        """
        X, y = _validation.validate_data(self, X, y, allow_nd=True)
        self._target = Classes(y)
        self.classes_ = self._target.labels
        return self._fit(X, self._target.one_hot(y), self._target, kwargs)

    def predict(self, X: Any) -> np.ndarray:
        """The label of each sample."""
        outputs = self._outputs(X)
        return self._target.decide(outputs, self.model_.loss)


class Classifier(_Labels):
    """A classifier: the class with the largest output of a model.

    The model gets the targets in the form that its loss wants: class numbers for a sparse cross-entropy, a column of
    0 and 1 if it has one output, rows with a 1 at the class otherwise.

    Args:
        model: a compiled ``Model``, or a function ``model(X=..., y=..., **model_kwargs)`` that returns one; ``None``:
            a multilayer perceptron that suits the data.
        warm_start: whether ``fit`` goes on with the weights of the last one.
        model_kwargs: more arguments for the function ``model``.
        fit_kwargs: arguments of ``Model.fit``.
        hidden_units: units of the hidden layers, where ``model`` is ``None``.
        learning_rate: of Adam, where ``model`` is ``None``.
        epochs: passes over the data.
        batch_size: samples per step.
        verbose: as in ``Model.fit``.
        random_state: an int or ``RandomState``, for the same result at each ``fit``.

    Attributes:
        model_: the fitted model.
        history_: its ``History``.
        n_features_in_: number of features.
        classes_: the labels, sorted.

    Example:
        >>> import numpy as np
        >>> from sklearn.model_selection import GridSearchCV
        >>> X = np.linspace(-1, 1, 60)[:, None]
        >>> y = np.where(X[:, 0] > 0, "above", "below")
        >>> search = GridSearchCV(Classifier(epochs=20, random_state=0), {"hidden_units": [(8,), (8, 8)]}, cv=3)
        >>> search.fit(X, y).predict([[-0.9], [0.9]]).tolist()
        ['below', 'above']
    """

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, ``(samples, classes)``, in the order of ``classes_``."""
        outputs = self._outputs(X)
        return self._target.probabilities(outputs, self.model_.loss)

    def _default_model(self, X: np.ndarray, y: np.ndarray) -> Any:
        return networks.classifier(X, len(self.classes_), self.hidden_units, self.learning_rate)


class Regressor(_base.RegressorMixin, Estimator):  # type: ignore[misc]
    """A regressor: the outputs of a model, in the shape and the precision of the targets.

    Args:
        model: a compiled ``Model``, or a function ``model(X=..., y=..., **model_kwargs)`` that returns one; ``None``:
            a multilayer perceptron that suits the data.
        warm_start: whether ``fit`` goes on with the weights of the last one.
        model_kwargs: more arguments for the function ``model``.
        fit_kwargs: arguments of ``Model.fit``.
        hidden_units: units of the hidden layers, where ``model`` is ``None``.
        learning_rate: of Adam, where ``model`` is ``None``.
        epochs: passes over the data.
        batch_size: samples per step.
        verbose: as in ``Model.fit``.
        random_state: an int or ``RandomState``, for the same result at each ``fit``.

    Attributes:
        model_: the fitted model.
        history_: its ``History``.
        n_features_in_: number of features.

    Example:
        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 50)[:, None]
        >>> Regressor(epochs=60, random_state=0).fit(X, 3 * X[:, 0]).score(X, 3 * X[:, 0]) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Fit the model.

        Args:
            X: ``(samples, features)``, or with more axes for models that take them.
            y: the targets, ``(samples,)`` or ``(samples, outputs)``.
            kwargs: arguments of ``Model.fit``: ``sample_weight``, ``callbacks``, ``epochs``, ...

        Returns:
            The estimator itself.

        Raises:
            ArgumentError: the model is none, or not compiled.
            ValueError: the data are not finite numbers.
        """
        X, y = _validation.validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True)
        self._target = Numbers(y)
        return self._fit(X, self._target.as_rows(y), self._target, kwargs)

    def predict(self, X: Any) -> np.ndarray:
        """The target of each sample."""
        outputs = self._outputs(X)
        return self._target.decode(outputs)

    def _default_model(self, X: np.ndarray, y: np.ndarray) -> Any:
        return networks.regressor(X, y, self.hidden_units, self.learning_rate)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class Transformer(_base.TransformerMixin, Estimator):  # type: ignore[misc]
    """New features: the outputs of a model, or of one of its layers.

    Without ``model`` it is an autoencoder: trained to give back its inputs through a layer of ``components`` units,
    whose outputs are the new features.

    Args:
        model: a compiled ``Model``, or a function ``model(X=..., y=..., **model_kwargs)`` that returns one; ``None``:
            a multilayer perceptron that suits the data.
        warm_start: whether ``fit`` goes on with the weights of the last one.
        model_kwargs: more arguments for the function ``model``.
        fit_kwargs: arguments of ``Model.fit``.
        hidden_units: units of the hidden layers, where ``model`` is ``None``.
        learning_rate: of Adam, where ``model`` is ``None``.
        epochs: passes over the data.
        batch_size: samples per step.
        verbose: as in ``Model.fit``.
        random_state: an int or ``RandomState``, for the same result at each ``fit``.
        layer: name of the layer whose outputs are wanted; ``None``: those of the model.
        components: number of new features, where ``model`` is ``None``.

    Attributes:
        model_: the fitted model.
        history_: its ``History``.
        n_features_in_: number of features.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(40, 5))
        >>> Transformer(components=2, epochs=3).fit_transform(X).shape
        (40, 2)
    """

    def __init__(
        self,
        model: Any = None,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
        *,
        layer: str | None = None,
        components: int = 2,
        hidden_units: Sequence[int] = (100,),
        learning_rate: float = 0.003,
        epochs: int = 50,
        batch_size: int = 32,
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            model, warm_start, model_kwargs, fit_kwargs, hidden_units=hidden_units, learning_rate=learning_rate,
            epochs=epochs, batch_size=batch_size, verbose=verbose, random_state=random_state,
        )  # fmt: skip
        self.layer = layer
        self.components = components

    def fit(self, X: Any, y: Any = None, **kwargs: Any) -> Any:
        """Fit the model.

        Args:
            X: ``(samples, features)``, or with more axes for models that take them.
            y: the targets; ``None`` for the inputs themselves.  Without ``model`` they are not used.
            kwargs: arguments of ``Model.fit``: ``sample_weight``, ``callbacks``, ``epochs``, ...

        Returns:
            The estimator itself.

        Raises:
            ArgumentError: the model is none, or not compiled.
            ValueError: the data are not finite numbers.
        """
        if y is None or self.model is None:
            X = _validation.validate_data(self, X, allow_nd=True)
            y = X
        else:
            X, y = _validation.validate_data(self, X, y, allow_nd=True, multi_output=True)
        target = Numbers(y)
        self._fit(X, target.as_rows(y), target, kwargs)
        self._inner = self._make_inner()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The new features of each sample."""
        _validation.check_is_fitted(self)
        X = _validation.validate_data(self, X, reset=False, allow_nd=True)
        outputs: np.ndarray = self._inner.predict(X, verbose=0)
        return outputs

    def _make_inner(self) -> Any:
        """The part of the model that makes the new features."""
        layer = networks.CODE if self.model is None else getattr(self, "layer", None)
        return self.model_ if layer is None else Model(self.model_.inputs, self.model_.get_layer(layer).output)

    def _default_model(self, X: np.ndarray, y: np.ndarray) -> Any:
        return networks.autoencoder(X, self.components, self.hidden_units, self.learning_rate)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_inner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "model_"):
            self._inner = self._make_inner()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


# --- Keras's names, with the arguments that Keras has -------------------------------------------------
class _LikeKeras(Estimator):
    """Arguments of training come from ``fit_kwargs`` and ``fit`` only."""

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def _own_fit_arguments(self) -> dict[str, Any]:
        return {}


class SKLearnClassifier(_LikeKeras, _Labels):
    """``Classifier`` with the arguments of Keras's: a model must be given, and trains for one epoch by default."""

    def decision_function(self, X: Any) -> np.ndarray:
        """The outputs of the model as they are."""
        return self._outputs(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(_LikeKeras, Regressor):
    """``Regressor`` with the arguments of Keras's: a model must be given, and trains for one epoch by default."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(_LikeKeras, Transformer):
    """``Transformer`` with the arguments of Keras's: a model must be given, and trains for one epoch by default."""
