"""The thin edge to AWS: tables, queues, secrets, clock, settings, observability."""
