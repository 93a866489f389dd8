"""Layers that prepare data: numbers, categories, text and images."""
