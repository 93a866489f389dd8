"""The examples' models in other frameworks, trained on the same arrays in the same way."""
