"""Lamina: a deep-learning framework with a compiler of its own."""
