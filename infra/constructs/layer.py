"""The layers, built beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import AssetHashType
from aws_cdk import aws_lambda as lambda_

from infra.build.layers import PlatformName, build_layer, layer_hash, platform
from infra.jobs import Layer

if TYPE_CHECKING:
    from constructs import Construct


class BuiltLayer(lambda_.LayerVersion):
    """A layer, built for one platform under a name that is the same for all.

    The asset is named by the hash of what it is made of, not of the files it became. So the template does not depend
    on the platform, and what is tried on one machine is what is deployed.
    """

    def __init__(self, scope: Construct, construct_id: str, *, layer: Layer, built_for: PlatformName) -> None:
        super().__init__(
            scope,
            construct_id,
            description=f"Mailtailor: {layer}",
            code=lambda_.Code.from_asset(
                str(build_layer(layer, platform(built_for))),
                asset_hash=layer_hash(layer),
                asset_hash_type=AssetHashType.CUSTOM,
            ),
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            compatible_architectures=[lambda_.Architecture.ARM_64],
        )
