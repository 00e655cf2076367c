"""Rights on everything under a prefix of a bucket: each is an exception from the rule against wildcards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from infra.constructs.exceptions import accept

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam

ARCHIVE: Final = "ArchiveDA4CB258ArnBE8F3792"
CATALOG: Final = "Catalog742F25FDArnE4F90298"
INTAKE: Final = "IntakeA0CA28E8Arn52054E15"
"""What the CDK calls the buckets' ARNs between the stacks."""


def accept_prefix(role: iam.IRole, bucket: str, prefix: str) -> None:
    """Accept that `role` has a right on all objects of `bucket` under `prefix`."""
    accept(
        role,
        f"AwsSolutions-IAM5[Resource::MailtailorData:ExportsOutputFnGetAtt{bucket}/{prefix}*]",
        "An object's name holds its date or hash and cannot be known before; the prefix holds nothing else.",
    )
