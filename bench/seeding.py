"""Randomness by purpose: a seed and a purpose give one stream, whoever asks and whatever else is drawn."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch

Purpose = Literal[
    "init_generator", "init_critic", "data", "latent_critic", "latent_generator", "objective", "evaluation", "reference"
]
"""Latents for critic steps and for generator steps are two purposes, so that objectives with different numbers of
critic steps still see the same latents at the same generator step."""


def seed_of(seed: int, purpose: Purpose) -> int:
    """63 bits of the SHA-256 of seed and purpose."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: Purpose, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose of one seed."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, purpose))
