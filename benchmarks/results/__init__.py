"""Accuracies on real data: each example that learns from such, beside the same model in PyTorch."""
