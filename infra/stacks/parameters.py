"""What an operator sets when the application is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aws_cdk import CfnParameter, Fn

from mailtailor.aws.rollout_driver import SETTLE
from mailtailor.instant import SECOND

if TYPE_CHECKING:
    from aws_cdk import Stack

_WAKE_UPS_A_SECOND: Final = "WakeUpsPerSecond"
"""A parameter; settings are texts, and CDK gives a number's value only as a number."""


class Parameters:
    """The parameters of a stack, each by the value it will have.

    Parameters
    ----------
    stack
        To which they are added.
    """

    def __init__(self, stack: Stack) -> None:
        self._of_memberships(stack)
        self._of_mail(stack)
        self._of_definitions(stack)

    def _of_memberships(self, stack: Stack) -> None:
        self.esp_webhook_url = CfnParameter(
            stack,
            "EspWebhookUrl",
            default="",
            description="https URL that gets each membership change as a signed webhook; empty: none",
        ).value_as_string
        self.processor_concurrency = CfnParameter(
            stack,
            "ProcessorConcurrency",
            type="Number",
            default=20,
            min_value=2,
            max_value=1000,
            description="How many batches of events are processed at once, at most",
        ).value_as_number
        self.wake_up_concurrency = CfnParameter(
            stack,
            "WakeUpConcurrency",
            type="Number",
            default=10,
            min_value=2,
            max_value=1000,
            description="How many batches of wake-ups are processed at once, at most",
        ).value_as_number
        CfnParameter(
            stack,
            _WAKE_UPS_A_SECOND,
            type="Number",
            default=1000,
            min_value=1,
            description="How many people these evaluate in a second; when more are due, they are spread over the next",
        )
        self.wake_ups_a_second = Fn.ref(_WAKE_UPS_A_SECOND)

    def _of_mail(self, stack: Stack) -> None:
        self.public_url = CfnParameter(
            stack,
            "PublicUrl",
            default="",
            allowed_pattern="^$|^https?://[^/]+$",
            description="Base URL of links, pixels and content if not CloudFront's own, such as https://mail.example.com",
        ).value_as_string
        self.forwarded_parameters = CfnParameter(
            stack,
            "ForwardedParameters",
            default="",
            allowed_pattern="^[A-Za-z0-9_.,-]*$",
            description="Parameters of a click that its destination gets, parted by commas; empty: none",
        ).value_as_string
        self.stitching = CfnParameter(
            stack,
            "Stitching",
            default="off",
            allowed_values=["on", "off"],
            description="Whether a click tells the shop's page, by a token that works once, whose click it was",
        ).value_as_string

    def _of_definitions(self, stack: Stack) -> None:
        self.refresh_seconds = CfnParameter(
            stack,
            "DefinitionsRefreshSeconds",
            type="Number",
            default=10,
            min_value=1,
            max_value=30,
            description="How often a function asks which segment definitions rule",
        ).value_as_string
        self.settle_seconds = CfnParameter(
            stack,
            "RolloutSettleSeconds",
            type="Number",
            default=SETTLE // SECOND,
            min_value=1,
            max_value=3600,
            description="How long changed segment definitions wait until all functions know of them; less than the "
            "default only where functions end within seconds",
        ).value_as_string
