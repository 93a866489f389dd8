"""Backends: each turns a graph into something that runs."""
