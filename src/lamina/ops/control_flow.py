"""Control flow: cond, while_loop, scan, map."""

from __future__ import annotations
