"""What everything else stands on: dtypes, errors, primitives and the recording state."""
