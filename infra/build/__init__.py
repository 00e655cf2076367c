"""Builds what the stacks deploy: the layers, for any platform and without Docker."""
