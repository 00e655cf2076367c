"""Tables, buckets and secrets: private, encrypted, and kept as long as they should be."""

from __future__ import annotations

from tests.infra.template import Template


def test_every_table_survives_mistakes(everything: Template) -> None:
    for table in everything.of_type("AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"):
        assert table.deletion_policy == "Retain", str(table)
        assert table.properties["BillingMode"] == "PAY_PER_REQUEST", str(table)
        assert table.properties["SSESpecification"]["SSEEnabled"] is True, str(table)
        for replica in table.properties["Replicas"]:
            assert replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True, str(table)
            assert replica["DeletionProtectionEnabled"] is True, str(table)


def test_the_due_index_holds_keys_only_and_those_who_are_due_only(everything: Template) -> None:
    indexes = [
        index
        for table in everything.of_type("AWS::DynamoDB::GlobalTable")
        for index in table.properties.get("GlobalSecondaryIndexes", [])
    ]
    assert len(indexes) == 1
    assert indexes[0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert [key["AttributeName"] for key in indexes[0]["KeySchema"]] == ["due_bucket", "due_at"]


def test_every_bucket_is_private_encrypted_and_kept(everything: Template) -> None:
    secured = everything.secured("AWS::S3::BucketPolicy", "Bucket")
    for bucket in everything.of_type("AWS::S3::Bucket"):
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}, str(bucket)
        assert bucket.properties["BucketEncryption"], str(bucket)
        assert bucket.id in secured, str(bucket)
        assert bucket.deletion_policy == "Retain", str(bucket)


def test_every_secret_is_generated_and_kept(everything: Template) -> None:
    for secret in everything.of_type("AWS::SecretsManager::Secret"):
        assert secret.properties["GenerateSecretString"]["PasswordLength"] == 64, str(secret)
        assert secret.deletion_policy == "Retain", str(secret)


def test_who_was_erased_is_known_longer_than_any_message_lives_and_not_for_ever(everything: Template) -> None:
    # given: an event may be a dead letter of both its queues, and be redriven on the last day each time
    longest = 2 * (4 + 14)
    expirations = [
        rule["ExpirationInDays"]
        for bucket in everything.of_type("AWS::S3::Bucket")
        for rule in bucket.properties.get("LifecycleConfiguration", {"Rules": []})["Rules"]
        if rule.get("Prefix") == "erased/"
    ]
    # then
    assert expirations == [90]
    assert longest < 90
