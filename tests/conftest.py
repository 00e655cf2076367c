"""The environment every function runs in, which Powertools reads once, when it is imported; and botocore's models."""

from __future__ import annotations

import os
from functools import cache

from botocore.loaders import JSONFileLoader

os.environ.update(
    {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "POWERTOOLS_METRICS_NAMESPACE": "Mailtailor",
        "POWERTOOLS_SERVICE_NAME": "test",
    }
)


def _models_are_read_once() -> None:
    """Let all botocore sessions of a run share what they read, as the clients of one session do anyway.

    Tests make sessions of their own, and each would parse megabytes of JSON again: an eighth of their time.
    """
    loader = JSONFileLoader()
    load_file = cache(loader.load_file)

    def load_shared(_self: JSONFileLoader, file_path: str) -> object:
        return load_file(file_path)

    JSONFileLoader.load_file = load_shared  # type: ignore[assignment]


_models_are_read_once()
