"""Families of networks: a file each, and their table."""

from typing import TypeAlias

from bench.networks.base import Network, NetworkSettings, Sizes
from bench.networks.dcgan import Dcgan
from bench.networks.mlp import Mlp
from bench.networks.resnet import Resnet
from bench.networks.unrolled_conv import UnrolledConv

Family: TypeAlias = type[Mlp] | type[Dcgan] | type[Resnet] | type[UnrolledConv]

NETWORKS: dict[str, Family] = {"mlp": Mlp, "dcgan": Dcgan, "resnet": Resnet, "unrolled_conv": UnrolledConv}

__all__ = ["NETWORKS", "Network", "NetworkSettings", "Sizes"]
