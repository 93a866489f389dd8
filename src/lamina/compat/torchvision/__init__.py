"""torchvision's names for what a first book uses: image data sets and transforms.

``from lamina.compat.torchvision import datasets, transforms`` in place of ``from torchvision import ...``.  Files lie
where ``lamina.datasets`` keeps them, whatever ``root`` says; images are arrays of uint8, not objects of Pillow.
"""

from __future__ import annotations

from lamina.compat._modules import as_submodules as _as_submodules
from lamina.compat.torchvision import datasets, transforms

transforms.v2 = transforms  # type: ignore[attr-defined]
_as_submodules(__name__, {"transforms": transforms}, depth=1)
