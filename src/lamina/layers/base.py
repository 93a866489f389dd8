"""``Layer``: weights, a ``build`` that makes them, and a ``call`` that uses them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lamina import config, dtype_policies, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, LaminaError, ShapeError
from lamina.core.masks import carried as masks_carried
from lamina.core.masks import keep_mask
from lamina.core.messages import did_you_mean
from lamina.core.primitive import ndarray, outside_capture, state
from lamina.core.tracebacks import is_filtering, without_own_frames
from lamina.core.trees import flatten, map_tree
from lamina.layers import penalties
from lamina.layers.calls import CallContextError, calls
from lamina.layers.masking import carry_masks, fill_masks, first_input, mask_placeholders
from lamina.layers.precision import Precision
from lamina.layers.spec import Signature, input_shape_argument, map_shapes, signature_of
from lamina.layers.symbolic import Node, SymbolicTensor, hide_stand_ins, infer_outputs, show_unknown_sizes
from lamina.layers.tracking import Tracking
from lamina.layers.weights import Weights
from lamina.serialization import deserialize, is_serialized, serialize
from lamina.tensor import Tensor, Variable

_add_loss_used = False  # until some layer adds a loss, none has to be cleared


class ConfigError(ArgumentError, TypeError):
    """A configuration with arguments that the layer does not take."""


class Layer(Weights, Tracking, Precision):
    """A function of tensors with weights of its own.

    A subclass makes its weights in ``build(self, input_shape)`` with ``add_weight`` and computes in
    ``call(self, inputs, training=None)``.  Layers, Variables and lists or dicts of them that are
    set as attributes belong to the layer.

    Args:
        trainable: whether training changes the weights.  May be changed at any time.
        dtype: dtype of weights and of the computation, or a ``DTypePolicy`` or its name; default
            ``lamina.config.dtype_policy()``.  Floating-point inputs are cast to the dtype of the computation.
        activity_regularizer: penalty on the output, divided by the size of the batch; joins the loss.
        name: name for messages, summaries and ``get_layer``; default from the class (``dense_1``).

    Example:
        >>> import lamina
        >>> class Scale(lamina.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> layer = Scale()
        >>> layer(lamina.ones((2, 3))).shape
        (2, 3)
        >>> layer.count_params()
        3
    """

    _role = "layer"
    _context_names: frozenset[str] = frozenset()  # arguments beside training that travel inwards
    # Attributes whose contents do not belong to the layer.
    _untracked = frozenset(
        {"_nodes", "_losses", "_init_arguments", "_initially_trainable", "_training", "input_spec", "_seen"}
        | {"_build_shapes", "_kept_frozen", "_readers", "_explained"}
    )
    _guesses_sizes = False  # whether placeholders of unknown size may meet others of a known one
    _penalized: tuple[str, ...] = ()  # weights with arguments <name>_regularizer and <name>_constraint

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = object.__new__(cls)
        object.__setattr__(layer, "_init_arguments", (args, kwargs))
        return layer

    def __init__(self, *, trainable: bool = True, dtype: Any = None, name: str | None = None, **kwargs: Any) -> None:
        like = kwargs.pop("_name_like", type(self).__name__)
        self._batch_input_shape = input_shape_argument(kwargs)
        penalties.take_arguments(self, kwargs)
        if kwargs:
            known = self._argument_names()
            raise ArgumentError(
                f"{type(self).__name__} has no argument {', '.join(map(repr, kwargs))}."
                f"{did_you_mean(next(iter(kwargs)), known)} Its arguments: {', '.join(known)}."
            )
        if name is not None and "/" in name:
            raise ArgumentError(f"A layer's name holds no '/', which separates the parts of a path; got {name!r}.")
        self.name = name if name is not None else config.auto_name(like)
        self._set_policy(dtype)
        self._trainable = bool(trainable)
        self._weights: list[Variable] = []
        self._initially_trainable: dict[int, bool] = {}
        self._nodes: list[Node] = []
        self._losses: list[Any] = []
        self._seen: Any = None  # placeholders like the arguments and the output of the first call
        self.input_spec: Any = None
        self._makes_masks = type(self).compute_mask is not Layer.compute_mask
        self.supports_masking = self._makes_masks
        self._warns_of_masks = True
        self.built = False

    def _argument_names(self) -> list[str]:
        parameters = inspect.signature(type(self).__init__).parameters.values()
        own = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD][1:]
        return own + penalties.argument_names(self) + ["activity_regularizer", "trainable", "dtype", "name"]

    def _register_call_context_args(self, *names: str) -> None:
        """Let these arguments of ``__call__`` travel inwards, as ``training`` does.

        A layer inside that has registered a name too, and whose ``call`` takes it, gets the value of the nearest
        layer around it that was given one.
        """
        if self._seen is not None or self._nodes:
            raise CallContextError(
                f"Cannot add call-context args after the layer has been called. Layer {self.name!r} is to register "
                f"{', '.join(map(repr, names))} in __init__()."
            )
        self._context_names = self._context_names | set(names)

    @property
    def _call_context_args(self) -> set[str]:
        return {"training", *self._context_names}

    def _take_context(self, signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The values of the registered arguments in and around this call; ``kwargs`` get those that ``call`` takes."""
        values = dict(calls.context or {})
        for name in self._context_names:
            place = signature.names.index(name) if name in signature.names else len(args)
            given = args[place] if place < len(args) else kwargs.pop(name, None)
            if given is not None:
                values[name] = given
            takes = name in signature.taken or signature.takes_anything
            if takes and place >= len(args) and values.get(name) is not None:
                kwargs[name] = values[name]
        return values

    # --- to be overridden -----------------------------------------------------------------------
    def build(self, input_shape: Any) -> None:
        """Make the weights; called once, before the first ``call``, with the shape of the inputs."""
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output from input tensors."""
        raise NotImplementedError(f"Layer {type(self).__name__} does not have a `call` method implemented.")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output, given the mask of the inputs: here the same.

        It is asked for where ``supports_masking`` is true.  A class that overrides it supports masking.
        """
        return previous_mask

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which ``from_config`` makes an equal layer.

        A subclass whose arguments are plain values, lists, or registered objects need not
        override this; others return their own arguments along with ``super().get_config()``.
        """
        return self._arguments_config()

    def _arguments_config(self) -> dict[str, Any]:
        """The arguments that the constructor was given, when the class does not say itself."""
        dtype = dtype_policies.serialize(self._policies or self._policy)
        base = {"name": self.name, "trainable": self._trainable, "dtype": dtype}
        base.update(penalties.config_of(self))
        cls = type(self)
        if not cls._config_is_automatic() or cls.__init__ is Layer.__init__:
            return base
        parameters = inspect.signature(cls.__init__).parameters
        args, kwargs = self._init_arguments
        given = dict(inspect.signature(cls.__init__).bind(self, *args, **kwargs).arguments)
        given.pop(next(iter(parameters)), None)
        for key, parameter in parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL and given.pop(key, None):
                raise ArgumentError(f"Layer {cls.__name__} takes *{key}: override get_config() to save it.")
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(given.pop(key, {}))
        takes_base = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        base = {k: v for k, v in base.items() if takes_base or k in parameters}
        return {**serialize(given), **base}

    @classmethod
    def _config_is_automatic(cls) -> bool:
        """Whether ``get_config`` is one of Lamina's own base classes'."""
        return cls.get_config.__qualname__ in ("Layer.get_config", "Model.get_config")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new layer from what ``get_config`` returned."""
        if cls._config_is_automatic():
            config = {k: deserialize(v) if is_serialized(v) or isinstance(v, list) else v for k, v in config.items()}
        try:
            return cls(**config)
        except (ArgumentError, TypeError) as error:
            raise ConfigError(f"{cls.__name__} cannot be made from the configuration {config}: {error}") from error

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Shape of the output for a shape of the input (``None`` where a size is not known)."""
        cls = type(self)
        if cls.call is Layer.call and cls.compute_output_spec is Layer.compute_output_spec:
            missing = "does not have a `compute_output_shape` method implemented."
            raise NotImplementedError(f"Layer {cls.__name__} {missing}")
        make = lambda s: SymbolicTensor(s, self._dtype)  # noqa: E731
        outputs = self.compute_output_spec(*[map_shapes(make, a) for a in args])
        return map_tree(lambda t: t.shape, outputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Placeholders for the outputs, given placeholders for the inputs."""
        cls = type(self)
        if cls.compute_output_shape is not Layer.compute_output_shape and len(args) == 1 and not kwargs:
            shapes = self.compute_output_shape(map_tree(lambda t: t.shape, args[0]))
            return map_shapes(lambda shape: SymbolicTensor(shape, self._dtype, self.name), shapes)
        return self._trace_outputs(args, kwargs)

    def _trace_outputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Placeholders for the outputs, found by tracing the call."""
        before = calls.inferring, calls.cache
        calls.inferring, calls.cache = True, None  # nothing is read here
        try:
            return infer_outputs(self._run, args, kwargs, self.name, guess=self._guesses_sizes)
        finally:
            calls.inferring, calls.cache = before
            self._clear_losses()

    # --- losses -----------------------------------------------------------------------------------
    def add_loss(self, loss: Any) -> None:
        """Inside ``call``: add scalar terms to the loss that training minimises."""
        global _add_loss_used
        _add_loss_used = True
        self._losses.extend(flatten(loss)[0])

    @property
    def losses(self) -> list[Any]:
        """The terms that the last call added, here and in the layers below, and the penalties of the weights."""
        added = [loss for layer in self._flatten_layers() for loss in layer._losses]
        return added + penalties.of_weights(self.trainable_weights)

    def _clear_losses(self) -> None:
        if _add_loss_used:
            for layer in self._flatten_layers():
                layer._losses.clear()

    # --- the graph of the functional API ------------------------------------------------------------
    def _only_node(self, what: str) -> Node:
        if len(self._nodes) != 1:
            raise ArgumentError(
                f"Layer {self.name!r} was called on placeholders {len(self._nodes)} times, so it has "
                f"{'no' if not self._nodes else 'no single'} {what}."
            )
        return self._nodes[0]

    @property
    def input(self) -> Any:
        """The placeholder that this layer was called on (functional models only)."""
        inputs = self._only_node("input").inputs
        return inputs[0] if len(inputs) == 1 else inputs

    @property
    def output(self) -> Any:
        """The placeholder that this layer returned (functional models only)."""
        outputs = self._only_node("output").outputs
        return outputs[0] if len(outputs) == 1 else outputs

    # --- calling ------------------------------------------------------------------------------------
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer to tensors, arrays, or placeholders of the functional API.

        Args:
            args: the arguments of ``call``.
            kwargs: likewise.  ``training=`` is accepted by every layer and handed to the layers inside.

        Raises:
            ShapeError: the inputs do not have the shape that the layer wants.
        """
        try:
            leaves = args if len(args) == 1 and type(args[0]) is Tensor and not kwargs else flatten((args, kwargs))[0]
            for leaf in leaves:
                if type(leaf) is SymbolicTensor:
                    return self._call_on_placeholders(args, kwargs)
            if calls.depth == 0:
                self._clear_losses()
            return self._run(*args, **kwargs)
        except Exception as error:
            if calls.depth == 0 and is_filtering():
                error.__traceback__ = without_own_frames(error.__traceback__)
            raise

    def _call_on_placeholders(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._check_inputs(args)
        if not self.built:
            self._build(args, kwargs)
        with self._naming_errors():
            result = self.compute_output_spec(*args, **kwargs)
        # A layer may hand an input through: its output is then a placeholder of its own.
        result = map_tree(lambda t: keep_mask(SymbolicTensor(t.shape, t.dtype, self.name), t), result)
        if masks_carried or self._makes_masks:
            mask_placeholders(self, first_input(args, kwargs), kwargs.get("mask"), result)
        Node(self, args, kwargs, result)
        return result

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self._to_tensors(args, kwargs)
        self._check_inputs(args)
        if not self.built:
            self._build(args, kwargs)
            self._check_inputs(args)
        signature = signature_of(type(self))
        outer, context = calls.training, calls.context
        if self._context_names:
            calls.context = self._take_context(signature, args, kwargs)
        training = kwargs.get("training")
        if training is None and signature.has_training and "training" in signature.names[: len(args)]:
            training = args[signature.names.index("training")]
        elif not signature.takes_anything:
            kwargs.pop("training", None)
        if training is None:
            training = outer if outer is not None else signature.training_default
            if signature.has_training and training is not None:
                kwargs["training"] = training
        elif signature.has_training and "training" not in signature.names[: len(args)]:
            kwargs["training"] = training
        masked = masks_carried or "mask" in kwargs or (signature.mask_names and signature.wants_masks(args))
        mask = fill_masks(signature, args, kwargs) if masked else None
        scope = state.scope
        state.scope = scope if self._building else (*scope, self.name)
        autocast, state.autocast = state.autocast, self._cast_weights if self.autocast else None
        calls.depth += 1
        calls.training = training
        try:
            output = self.call(*args, **kwargs)
        except LaminaError as error:
            _name_layer(error, "/".join(state.scope))
            raise
        finally:
            calls.depth -= 1
            calls.training, calls.context = outer, context
            state.scope, state.autocast = scope, autocast
        if masked or self._makes_masks:
            output = carry_masks(self, first_input(args, kwargs), output, mask)
        if self.activity_regularizer is not None:
            self.add_loss(penalties.of_output(self.activity_regularizer, output))
        if self._seen is None:
            self._seen = map_tree(_placeholder_like, args), map_tree(_placeholder_like, output)
        return output

    def _to_tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arrays (and lists of numbers) become Tensors; floats take the layer's dtype."""
        if len(args) == 1 and not kwargs and type(args[0]) is Tensor:
            x = args[0]
            if x._data.dtype == self._dtype or not self.autocast or not dtypes.is_float(x._data.dtype):
                return args, {}
        if args and isinstance(args[0], list | tuple):
            leaves = flatten(args[0])[0]
            if leaves and all(isinstance(x, bool | int | float) for x in leaves):
                args = (ops.as_tensor(args[0]), *args[1:])
        return tuple(map_tree(self._to_tensor, a) for a in args), {
            k: v if k == "training" else map_tree(self._to_tensor, v) for k, v in kwargs.items()
        }

    def _to_tensor(self, x: Any) -> Any:
        if isinstance(x, Variable):
            x = x.value
        elif type(x) is not Tensor:
            if not isinstance(x, ndarray) and not hasattr(x, "__dlpack__"):
                return x
            if isinstance(x, ndarray) and x.dtype.kind == "f" and self.autocast:
                return ops.as_tensor(x, dtype=self._dtype)
            x = ops.as_tensor(x)
        if self.autocast and x._data.dtype != self._dtype and dtypes.is_float(x._data.dtype):
            return keep_mask(ops.astype(x, self._dtype), x)
        return x

    def _check_inputs(self, args: tuple[Any, ...]) -> None:
        if self.input_spec is None or not args:
            return
        specs = self.input_spec if isinstance(self.input_spec, list | tuple) else [self.input_spec]
        inputs = flatten(args[0])[0]
        if len(specs) != len(inputs):
            raise ShapeError(f"Layer {self._path()}: expected {len(specs)} inputs, got {len(inputs)}.")
        for i, (spec, x) in enumerate(zip(specs, inputs, strict=True)):
            if not hasattr(x, "shape"):
                raise DTypeError(f"Layer {self._path()}: input {i} is a {type(x).__name__}, not a tensor or an array.")
            problem = spec.problem(x.shape)
            if problem is not None:
                which = f" input {i}" if len(inputs) > 1 else ""
                raise ShapeError(f"Layer {self._path()}:{which} {problem}. {self._shape_advice(x.shape)}")

    def _shape_advice(self, shape: Sequence[int | None]) -> str:
        """What to do about an input of a wrong shape; layers say it better."""
        if self.built and self.input_spec is not None:
            return "The weights were made for the first shape; give inputs of that shape, or use a new layer."
        return "Reshape the input, or change the layer before this one."

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call ``build`` with the shapes of the arguments, outside any capture."""
        signature = signature_of(type(self))
        hide = hide_stand_ins if calls.inferring else tuple

        def shapes(tree: Any) -> Any:
            return map_tree(lambda x: hide(x.shape) if hasattr(x, "shape") else None, tree)

        names = signature.build_names
        with outside_capture(), self._naming_errors():
            if len(names) == 1 or not names:
                self.build(shapes(args[0] if args else next(iter(kwargs.values()), None)))
            else:
                signature.check_build(type(self).__name__)
                bound = dict(zip(signature.names, args, strict=False)) | kwargs
                found = {f"{k}_shape": shapes(v) for k, v in bound.items() if k != "training"}
                self.build(**{k: v for k, v in found.items() if k in names})
        self.built = True

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except LaminaError as error:
            _name_layer(error, self._path())
            raise

    def __getattr__(self, name: str) -> Any:
        if "_weights" not in vars(self) and name in _MADE_BY_INIT:
            raise ArgumentError(f"{type(self).__name__}.__init__ does not call super().__init__() first. Add it.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        known = vars(self)
        return f"<{type(self).__name__} name={known.get('name')}, built={known.get('built')}>"


def _name_layer(error: LaminaError, path: str) -> None:
    """Put the innermost layer's path before the message, once."""
    if getattr(error, "layer", None) is None:
        error.layer = path  # type: ignore[attr-defined]
        message = show_unknown_sizes(str(error.args[0])) if error.args else ""
        if not message.startswith(("Layer ", "Model ")):
            error.args = (f"Layer {path}: {message}", *error.args[1:])


_MADE_BY_INIT = frozenset({"name", "built", "_losses", "_weights", "_trainable", "_dtype", "_nodes", "input_spec"})


def _placeholder_like(x: Any) -> Any:
    """A placeholder for a tensor, its batch and its stand-in sizes unknown."""
    if not hasattr(x, "shape"):
        return x
    shape = hide_stand_ins(x.shape)
    return SymbolicTensor((None, *shape[1:]) if shape else (), x.dtype, "input")
