"""Masks that travel with tensors: which steps of a padded batch of sequences are real.

A mask is a tensor of bools shaped like the first axes of the tensor it belongs to, true where there is
something.  A layer hangs it on its output, the next layer finds it there.  It is kept beside the tensors,
not in them: a program without masks has an empty table and pays for one look at it.
"""

from __future__ import annotations

import weakref
from typing import Any

# id of a tensor -> (weak reference to it, its mask).  An entry goes with its tensor.
carried: dict[int, tuple[weakref.ref[Any], Any]] = {}


def set_mask(x: Any, mask: Any) -> None:
    """Hang a mask on a tensor; ``None`` takes it off."""
    key = id(x)
    if mask is None:
        carried.pop(key, None)
        return

    def forget(reference: Any, carried: Any = carried) -> None:  # the module may be gone by then
        if key in carried and carried[key][0] is reference:
            del carried[key]

    carried[key] = (weakref.ref(x, forget), mask)


def get_mask(x: Any) -> Any:
    """The mask of this very tensor, or ``None``."""
    found = carried.get(id(x))
    return found[1] if found is not None and found[0]() is x else None


def keep_mask(new: Any, old: Any) -> Any:
    """``new``, carrying the mask of the tensor it was made from."""
    if carried and new is not old and (mask := get_mask(old)) is not None:
        set_mask(new, mask)
    return new
