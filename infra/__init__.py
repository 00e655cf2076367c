"""The CDK app: what Mailtailor is made of on AWS, how its packages are built, and how one machine runs it."""

from infra.build.node import use_pinned_node

# The CDK's classes start a Node process when they are imported, so the choice of Node comes before any of them.
use_pinned_node()
