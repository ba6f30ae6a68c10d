"""Randomness by purpose: a seed and a purpose give one stream, whoever asks and whatever else is drawn.

The purposes: ``init_generator``, ``init_critic``; ``data``; ``latent_critic`` and ``latent_generator``, two, so that
objectives with different numbers of critic steps see the same latents at the same generator step; ``objective.<name>``
for each noise that an objective asks for; ``instance_noise_real``, ``instance_noise_critic`` and
``instance_noise_generator``; ``training_set``; ``evaluation`` for the latents or fake samples that are judged,
``reference`` for the real samples they are judged against; ``probe_<kind>`` for what is read of a training. An
experiment may have purposes of its own, and names them.
"""

from __future__ import annotations

import hashlib

import torch


def seed_of(seed: int, purpose: str) -> int:
    """63 bits of the SHA-256 of seed and purpose."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose of one seed."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, purpose))
