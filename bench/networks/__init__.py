"""Families of networks: a file each, and their table."""

from bench.networks.base import Network, NetworkSettings
from bench.networks.mlp import Mlp

NETWORKS: dict[str, type[Mlp]] = {"mlp": Mlp}

__all__ = ["NETWORKS", "Network", "NetworkSettings"]
