"""The tables, with the rights each use of them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam

from infra.constructs.rights import allow

if TYPE_CHECKING:
    from constructs import Construct

DUE_INDEX = "due"


class ItemTable(dynamodb.TableV2):
    """A table of items by `id`, paid by request, that neither a deployment nor a mistake can lose."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stream: dynamodb.StreamViewType | None = None,
        expires_at: str | None = None,
        indexes: list[dynamodb.GlobalSecondaryIndexPropsV2] | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing=dynamodb.Billing.on_demand(),
            encryption=dynamodb.TableEncryptionV2.aws_managed_key(),
            dynamo_stream=stream,
            time_to_live_attribute=expires_at,
            global_secondary_indexes=indexes,
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
        )

    def read(self) -> iam.PolicyStatement:
        """Return the right to read items whose ids are known."""
        return allow(["dynamodb:GetItem"], self.table_arn)

    def read_and_put(self) -> iam.PolicyStatement:
        """Return the rights to read and replace items whose ids are known."""
        return allow(["dynamodb:GetItem", "dynamodb:PutItem"], self.table_arn)

    def update(self) -> iam.PolicyStatement:
        """Return the right to change items, which can also return what they were."""
        return allow(["dynamodb:UpdateItem"], self.table_arn)

    @property
    def stream_arn(self) -> str:
        """The ARN of the stream, of a table that has one from its first day."""
        arn = self.table_stream_arn
        assert arn is not None  # noqa: S101 - for the type checker; the table declares one
        return arn

    def follow(self) -> iam.PolicyStatement:
        """Return the rights that an event source needs on the stream."""
        actions = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"]
        return allow([f"dynamodb:{action}" for action in actions], self.stream_arn)


class DecisionTable(ItemTable):
    """What blocks showed in messages, for some days, with the stream of it."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope, construct_id, stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES, expires_at="expires_at"
        )

    def read_and_keep(self) -> iam.PolicyStatement:
        """Return the rights to read decisions together with a profile, and to add some."""
        return allow(["dynamodb:BatchGetItem", "dynamodb:UpdateItem"], self.table_arn)


class ProfileTable(ItemTable):
    """The profiles, with the index of those that time will change and the stream of their changes."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            indexes=[
                dynamodb.GlobalSecondaryIndexPropsV2(
                    index_name=DUE_INDEX,
                    partition_key=dynamodb.Attribute(name="due_bucket", type=dynamodb.AttributeType.STRING),
                    sort_key=dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER),
                    projection_type=dynamodb.ProjectionType.KEYS_ONLY,
                )
            ],
        )

    def read_alone_or_together(self) -> iam.PolicyStatement:
        """Return the rights to read profiles whose ids are known, also together with items of other tables."""
        return allow(["dynamodb:GetItem", "dynamodb:BatchGetItem"], self.table_arn)

    def process(self) -> iam.PolicyStatement:
        """Return the rights to read profiles by batches and to put them; a transaction of puts needs no more."""
        return allow(["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem"], self.table_arn)

    def read_many(self) -> iam.PolicyStatement:
        """Return the right to read profiles by batches."""
        return allow(["dynamodb:BatchGetItem"], self.table_arn)

    def replace(self) -> iam.PolicyStatement:
        """Return the rights to read profiles by batches and to put them."""
        return allow(["dynamodb:BatchGetItem", "dynamodb:PutItem"], self.table_arn)

    def sample(self) -> iam.PolicyStatement:
        """Return the right to read profiles whose ids are not known."""
        return allow(["dynamodb:Scan"], self.table_arn)

    def find_due(self) -> iam.PolicyStatement:
        """Return the right to ask the index who is due."""
        return allow(["dynamodb:Query"], f"{self.table_arn}/index/{DUE_INDEX}")
