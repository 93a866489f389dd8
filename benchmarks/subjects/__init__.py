"""One file per subject; each has ``rows(arena, small)``, which measures and yields rows of the table."""
