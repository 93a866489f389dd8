"""Configurations of models: from Lamina's form to Keras's and back.

Both are JSON with ``class_name`` and ``config``.  They differ in how they say where a class is from, and in how
they write placeholders and what goes into and out of a functional model.
"""

from __future__ import annotations

from typing import Any

from lamina.serialization import builtin_name

# Keys of Keras's layers that say nothing when they hold one of these values.
SILENT: dict[str, tuple[Any, ...]] = {
    "sparse": (False, None), "ragged": (False, None), "optional": (False, None), "synchronized": (False, None),
    "renorm": (False, None), "renorm_clipping": (None,), "renorm_momentum": (0.99,), "input_axes": (None,),
    "output_axes": (None,), "lora_rank": (None,), "lora_alpha": (None,), "quantization_config": (None,),
    "quantization_mode": (None,), "zero_output_for_mask": (False,), "loss_scale_factor": (None,),
    "is_legacy": (False,), "rms_scaling": (False,),
}  # fmt: skip
PLACES = {"lamina.models>Sequential": ("keras", "Sequential"), "lamina>DTypePolicy": ("keras", "DTypePolicy")}


def to_keras(tree: Any) -> Any:
    """What ``serialize`` returned, as Keras writes it."""
    if isinstance(tree, list):
        return [to_keras(x) for x in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.get("class_name") == "__tensor__" and isinstance(tree["config"], list):
        history = {"shape": [], "dtype": "float32", "keras_history": tree["config"]}  # Keras looks at the last only
        return {"class_name": "__keras_tensor__", "config": history}
    if "class_name" not in tree or "config" not in tree:
        return {k: to_keras(v) for k, v in tree.items()}
    name = tree.get("registered_name") or ""
    config = tree["config"]
    if tree["class_name"] == "function":
        return tree["config"] if name.startswith("lamina.") else {"module": "builtins", **tree}
    rest = {k: to_keras(v) for k, v in tree.items() if k not in ("class_name", "config", "registered_name")}
    if name == "lamina.models>Model":
        config = {k: to_keras(v) for k, v in config.items() if k not in ("inputs", "outputs")}
        config["input_layers"] = _histories(tree["config"]["inputs"])
        config["output_layers"] = _histories(tree["config"]["outputs"])
        module, cls = "keras.src.models.functional", "Functional"
    else:
        config = to_keras(config)
        package, _, own = name.partition(">")
        module, cls = PLACES.get(name, (f"keras.{package.removeprefix('lamina.')}", own or tree["class_name"]))
        if not package.startswith("lamina"):
            return {"module": None, "class_name": tree["class_name"], "config": config, "registered_name": name, **rest}
    return {"module": module, "class_name": cls, "config": config, "registered_name": None, **rest}


def _histories(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_histories(x) for x in tree]
    if tree.get("class_name") == "__tensor__":
        return tree["config"]
    return {k: _histories(v) for k, v in tree.items()}


def from_keras(tree: Any) -> Any:
    """What Keras wrote, for ``deserialize``."""
    if isinstance(tree, list):
        return [from_keras(x) for x in tree]
    if not isinstance(tree, dict):
        return tree
    cls: Any = tree.get("class_name")
    config: Any = tree.get("config")
    if cls == "__keras_tensor__":
        return {"class_name": "__tensor__", "config": tree["config"]["keras_history"]}
    if cls is None or "config" not in tree:
        return {k: from_keras(v) for k, v in tree.items()}
    rest = {k: from_keras(v) for k, v in tree.items() if k in ("name", "inbound_nodes")}
    if cls == "Functional" or (isinstance(config, dict) and "input_layers" in config and "output_layers" in config):
        config = dict(config)
        config["inputs"] = _placeholders(config.pop("input_layers"))
        config["outputs"] = _placeholders(config.pop("output_layers"))
    if isinstance(config, dict):
        kept = {k: v for k, v in config.items() if not (k in SILENT and v in SILENT[k]) and k != "build_input_shape"}
        config = {k: from_keras(v) for k, v in kept.items()}
    name = "lamina.models>Model" if cls == "Functional" else _name(tree)
    return {"class_name": "Model" if cls == "Functional" else cls, "config": config, "registered_name": name, **rest}


def _placeholders(tree: Any) -> Any:
    if isinstance(tree, list) and len(tree) == 3 and isinstance(tree[0], str):
        return {"class_name": "__tensor__", "config": tree}
    if isinstance(tree, list):
        return [_placeholders(x) for x in tree]
    return {k: _placeholders(v) for k, v in tree.items()}


def _name(tree: dict[str, Any]) -> str | None:
    registered = tree.get("registered_name")
    module = tree.get("module") or ""
    if registered and not module.startswith("keras"):
        return str(registered)
    cls = tree["class_name"]
    if cls in ("Sequential", "Functional"):
        return f"lamina.models>{cls}"
    if cls == "DTypePolicy":
        return "lamina>DTypePolicy"
    parts = module.split(".")
    if parts[0] == "keras" and len(parts) > 1:
        area = parts[2] if parts[1] == "src" and len(parts) > 2 else parts[1]
        return builtin_name(f"lamina.{area}>{cls}", cls)
    if registered:
        return str(registered)
    found = builtin_name("", cls) if not module else ""  # older files do not say where a class is from
    return found or None
