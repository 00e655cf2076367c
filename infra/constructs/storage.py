"""Buckets and secrets, with the rights each use of them needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from infra.constructs.exceptions import accept
from infra.constructs.rights import allow

if TYPE_CHECKING:
    from constructs import Construct

DECISIONS_PREFIX = "decisions/"
EVENTS_PREFIX = "events/"
FLIPS_PREFIX = "flips/"
MAIL_PREFIX = "mail/"
ROWS = (DECISIONS_PREFIX, EVENTS_PREFIX, FLIPS_PREFIX, MAIL_PREFIX)
"""Where the archive's rows are."""
ERASED_PREFIX = "erased/"
LARGE_PREFIX = "large/"
PARKED_PREFIX = "parked/"
CATALOG_KEY = "catalog.json"
BLOCKS_PREFIX = "blocks/"


class PrivateBucket(s3.Bucket):
    """A bucket that only functions use."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        versioned: bool = False,
        lifecycle_rules: list[s3.LifecycleRule] | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=versioned,
            lifecycle_rules=lifecycle_rules,
            removal_policy=RemovalPolicy.RETAIN,
        )
        accept(
            self,
            "AwsSolutions-S1",
            "One function has access; CloudTrail can record what it does, without another bucket.",
        )


class Archive(PrivateBucket):
    """Every event and every flip, as Parquet."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=Duration.days(90)
                        )
                    ],
                ),
                # Reports on blocks look at weeks, and what was shown is not what happened.
                s3.LifecycleRule(prefix=DECISIONS_PREFIX, expiration=Duration.days(90)),
                # No event of somebody erased is on its way any longer than this: see docs/archive.md.
                s3.LifecycleRule(prefix=ERASED_PREFIX, expiration=Duration.days(90)),
            ],
        )

    def add(self, *prefixes: str) -> iam.PolicyStatement:
        """Return the right to add objects under `prefixes`.

        A wildcard: a new object's name holds its date and hash and cannot be known before.
        """
        return allow(["s3:PutObject"], *(self.arn_for_objects(f"{each}*") for each in prefixes))

    def read(self, prefix: str) -> list[iam.PolicyStatement]:
        """Return the rights to list and read what is under `prefix`, and nothing beside it."""
        return [self.find(prefix), allow(["s3:GetObject"], self.arn_for_objects(f"{prefix}*"))]

    def find(self, *prefixes: str) -> iam.PolicyStatement:
        """Return the right to list what is under `prefixes`, and nothing beside it."""
        found = allow(["s3:ListBucket"], self.bucket_arn)
        found.add_condition("StringLike", {"s3:prefix": [f"{prefix}*" for prefix in prefixes]})
        return found

    def replace(self) -> list[iam.PolicyStatement]:
        """Return the rights to put other files in the place of the archive's, and to know who was erased."""
        objects = [self.arn_for_objects(f"{prefix}*") for prefix in ROWS]
        actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        return [
            self.find(*ROWS, ERASED_PREFIX),
            *(allow([action], *objects) for action in actions),
        ]

    def note_erased(self) -> iam.PolicyStatement:
        """Return the right to add to the list of who was erased."""
        return allow(["s3:PutObject"], self.arn_for_objects(f"{ERASED_PREFIX}*"))


class IntakeStore(PrivateBucket):
    """What is on its way: events too large for a message, and items that could not be used."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        # Longer than any message about them lives: four days in a queue and fourteen in its dead letters.
        expire = s3.LifecycleRule(expiration=Duration.days(30))
        super().__init__(scope, construct_id, lifecycle_rules=[expire])

    def add(self, *prefixes: str) -> iam.PolicyStatement:
        """Return the right to add objects under `prefixes`; a wildcard, for they are named by content."""
        return allow(["s3:PutObject"], *(self.arn_for_objects(f"{prefix}*") for prefix in prefixes))

    def fetch(self, prefix: str) -> iam.PolicyStatement:
        """Return the right to read objects under `prefix` whose key is known."""
        return allow(["s3:GetObject"], self.arn_for_objects(f"{prefix}*"))


class CatalogStore(PrivateBucket):
    """The catalog, one object with the versions before it, and the blocks that were pushed."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        expire = s3.LifecycleRule(noncurrent_version_expiration=Duration.days(90))
        super().__init__(scope, construct_id, versioned=True, lifecycle_rules=[expire])

    def read(self) -> list[iam.PolicyStatement]:
        """Return the rights to read catalog and blocks, and to learn that there are none (else S3 says "forbidden").

        A wildcard: a block's version is named by its hash.
        """
        return [
            allow(["s3:GetObject"], self.arn_for_objects(CATALOG_KEY), self.arn_for_objects(f"{BLOCKS_PREFIX}*")),
            self.find(),
        ]

    def find(self) -> iam.PolicyStatement:
        """Return the right to learn that something is not there."""
        return allow(["s3:ListBucket"], self.bucket_arn)

    def read_blocks(self) -> iam.PolicyStatement:
        """Return the right to read blocks."""
        return allow(["s3:GetObject"], self.arn_for_objects(f"{BLOCKS_PREFIX}*"))

    def push_blocks(self) -> iam.PolicyStatement:
        """Return the right to write versions of blocks, and which of them are published."""
        return allow(["s3:PutObject"], self.arn_for_objects(f"{BLOCKS_PREFIX}*"))


class Keys(secretsmanager.Secret):
    """A secret that AWS generates; no one has to know it.

    Parameters
    ----------
    description
        What it is for.
    generated
        The entry that is generated.
    entries
        Those that are given.
    rotation
        How it is rotated, since no schedule does.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        generated: str,
        entries: Mapping[str, str] | None = None,
        rotation: str,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description=f"Mailtailor: {description}",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps(dict(entries or {})),
                generate_string_key=generated,
                password_length=64,
                exclude_punctuation=True,
            ),
            removal_policy=RemovalPolicy.RETAIN,
        )
        accept(self, "AwsSolutions-SMG4", rotation)

    def read(self) -> iam.PolicyStatement:
        """Return the right to read the secret."""
        return allow(["secretsmanager:GetSecretValue"], self.secret_arn)
