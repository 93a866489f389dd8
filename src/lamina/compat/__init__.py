"""Other libraries' names for what Lamina has: ``from lamina.compat import keras``.

These modules only re-export; a name that Lamina does not have is not there.
"""
