"""Who may use the routes under /admin: users of a pool that only the operator can add to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cognito as cognito

from infra.constructs.exceptions import accept

if TYPE_CHECKING:
    from constructs import Construct


class Administrators(cognito.UserPool):
    """The people who manage this system, each with a password of their own and, if they like, a second factor.

    Their tokens are checked by the API itself, before any function is called. They carry no rights in AWS.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            password_policy=cognito.PasswordPolicy(
                min_length=14,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
                temp_password_validity=Duration.days(3),
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        accept(
            self,
            "AwsSolutions-COG2",
            "A first token must be had without an app at hand; who has one is asked for its code with each token.",
        )
        accept(
            self,
            "AwsSolutions-COG8",
            "Threat protection needs the Plus plan, which costs more a user; nobody can sign up, and few are invited.",
        )
        self.client = self.add_client(
            "Client",
            # The second flow needs AWS credentials beside the password: it is the operator's command line.
            auth_flows=cognito.AuthFlow(user_srp=True, admin_user_password=True),
            disable_o_auth=True,
            generate_secret=False,
            prevent_user_existence_errors=True,
            enable_token_revocation=True,
            # The API asks nobody whether a token was revoked, so a stolen one is good for this long.
            access_token_validity=Duration.hours(1),
            id_token_validity=Duration.hours(1),
            refresh_token_validity=Duration.hours(12),
        )
