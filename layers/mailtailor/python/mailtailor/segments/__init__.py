"""Rules over profiles that are exact at every instant."""
