"""One module a provider: its payloads become events."""
