"""Compiled code beside memory that nobody may touch: ``make test-memory`` (see ``__main__``)."""
