"""The native backend: graphs compiled to machine code of this CPU."""
