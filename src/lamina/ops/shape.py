"""Changing shape: reshape, transpose, concatenate, pad, repeat."""

from __future__ import annotations
