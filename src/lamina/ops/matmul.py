"""Matrix products and what is written with them."""

from __future__ import annotations
