"""Seeded bugs: what proves the engine exact has to notice each of them."""
