"""Graphs: the IR, its capture from Python functions, its verifier and its passes."""
