"""Content blocks, their variants, offers and rendering."""
