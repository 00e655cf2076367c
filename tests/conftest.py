"""The environment every function runs in; Powertools reads it once, when it is imported."""

from __future__ import annotations

import os

os.environ.update(
    {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "POWERTOOLS_METRICS_NAMESPACE": "Mailtailor",
        "POWERTOOLS_SERVICE_NAME": "test",
    }
)
