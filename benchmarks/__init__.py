"""Lamina beside PyTorch, JAX and Keras: the same work, in one run, in turn.

``python -m benchmarks`` prints the table; ``docs/benchmarks.md`` says how it is measured.

    __main__.py   what to run, and the table
    subjects/     one file per subject: its rows, targets and limits
    peers/        one file per framework: the work as its good users write it
    arena.py      the processes, their turns, and the watch for foreign load
    worker.py     what runs in such a process
    work.py       the multilayer perceptrons and their data, equal for all
    engine.py     convolutions, networks for pictures and sequences, attention
    machine.py    this machine: load, arithmetic peak, memory bandwidth
    report.py     rows to text, Markdown and JSON
    results/      what the examples reach, and how fast, beside peers (``python -m benchmarks.results``)
"""
