"""The work of ``benchmarks/engine.py`` in each framework: convolution, networks, recurrence, attention."""
