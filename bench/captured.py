"""Whole iterations as CUDA graphs: the critic's updates and the generator's are launched by one call to the driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch

from bench.lifted import Lifted, with_coefficients
from bench.problem import Problem, Tree, leaves, tree_map

Work: TypeAlias = "Callable[[], None]"
Recorder: TypeAlias = "Callable[[Work], Work]"
"""Runs work on fixed tensors, any number of times, and gives what does the same again at less cost."""

WARM_UPS = 3
"""How often work runs before it is captured, as torch asks for; compiled steps are compiled by the first."""


def cuda_graph(work: Work) -> Work:
    """A recorder: the replay of a CUDA graph of the work."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Work = graph.replay
    return replay


class Captured:
    """Trains all replicas at once; the interface is that of ``Lifted``.

    State, draws and settings stand in tensors that never move. A graph has the updates of one iteration, and finds its
    draws by a counter on the device, which it moves on: between iterations nothing is copied and nobody waits.
    """

    def __init__(self, problem: Problem, record: Recorder = cuda_graph) -> None:
        self._lifted = Lifted(problem, compiled=True, on_gpu=True)
        self._record = record
        self._iterations: dict[int, Work] = {}
        """By the number of critic steps."""
        self._state: Tree = {}
        self._draws: Tree = {}
        self._scalars: Tree = {}
        self._position: dict[str, torch.Tensor] = {}
        """How many of its draws a player has had of those at hand: [1]."""

    def advance(self, critic_steps: Sequence[int], state: Tree, draws: Tree, scalars: Tree) -> Tree:
        """The state after iterations of so many critic steps each; draws are [k, R, B, ...], used in order."""
        draws = with_coefficients(self._lifted.problem, critic_steps, state, draws, scalars)
        self._place(state, draws, scalars)
        for count in set(critic_steps) - self._iterations.keys():
            self._iterations[count] = self._recorded(count)
        self._rewind()
        for count in critic_steps:
            self._iterations[count]()
        return self._state

    def _place(self, state: Tree, draws: Tree, scalars: Tree) -> None:
        """Put everything where the graphs look for it; draws that are more than ever before need a new place."""
        if state is not self._state:
            self._state, self._scalars = state, scalars
            self._iterations.clear()
        rooms = dict(leaves(self._draws))
        if all(name in rooms and len(own) <= len(rooms[name]) for name, own in leaves(draws)):
            for name, own in leaves(draws):
                rooms[name][: len(own)].copy_(own)
            return
        self._draws = tree_map(draws, torch.clone)
        device = draws["critic"]["real"].device
        self._position = {name: torch.zeros(1, dtype=torch.int64, device=device) for name in draws}
        self._iterations.clear()

    def _recorded(self, count: int) -> Work:
        """The graph of an iteration; recording runs it, after which the state is as it was."""
        steps = {"critic": count, "generator": self._lifted.problem.generator_steps}

        def iteration() -> None:
            taken = {name: self._take(name, own, steps[name]) for name, own in self._draws.items()}
            self._lifted.iterate([count], self._state, taken, self._scalars)

        kept = dict(leaves(tree_map(self._state, torch.clone)))
        self._rewind()
        replay = self._record(iteration)
        for name, tensor in leaves(self._state):
            tensor.copy_(kept[name])
        return replay

    def _take(self, name: str, draws: Tree, count: int) -> Tree:
        """The next draws of a player, by its counter."""
        if not draws:
            return {}
        position = self._position[name]
        numbers = position + torch.arange(count, device=position.device)
        which = numbers % len(draws["latent"])  # recording makes more iterations than there are draws for
        position += count
        return tree_map(draws, lambda tensor: tensor.index_select(0, which))

    def _rewind(self) -> None:
        for position in self._position.values():
            position.zero_()
