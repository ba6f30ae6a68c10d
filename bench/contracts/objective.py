"""What an objective must satisfy.

Shape letters: R replica, B batch, *E event.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch

from bench.contracts.common import Checks, GlobalRandomness, check_randomness, close, require
from bench.errors import nearest
from bench.optim import OPTIMIZERS
from objectives.base import Loss, Objective

Parameters: TypeAlias = "dict[str, torch.Tensor]"

EVENTS = ((2,), (2, 3, 4))
"""A vector and an image: what holds for one rank of event and not for the other is a defect."""


# ---------------------------------------------------------------------------------------------------------------------
# One training problem in small, with a smooth critic, so that every derivative exists.


@dataclass(frozen=True, kw_only=True)
class _Case:
    """The arguments of a loss, and the parameters of the critic to bind."""

    parameters: Parameters
    real: torch.Tensor
    fake: torch.Tensor
    noise: Parameters
    hparams: Parameters

    def tree(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _scores(parameters: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """``v . tanh(W x + b) + a``: x [B, *E] -> [B]."""
    hidden = torch.tanh(x.flatten(1) @ parameters["weight"] + parameters["bias"])
    return hidden @ parameters["readout"] + parameters["offset"]


def _case(
    objective: Objective,
    event: tuple[int, ...] = (2,),
    *,
    seed: int = 0,
    batch: int = 6,
    dtype: torch.dtype | None = None,
    scale: float = 1.0,
) -> _Case:
    """Draw a case; ``scale`` multiplies the hyperparameters' defaults. In float64 unless told otherwise."""
    dtype = torch.float64 if dtype is None else dtype
    generator = torch.Generator().manual_seed(1000 + seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    axes, width = math.prod(event), 5
    return _Case(
        parameters={
            "weight": normal(axes, width) / math.sqrt(axes),
            "bias": normal(width),
            "readout": normal(width),
            "offset": normal(),
        },
        real=normal(batch, *event) + 0.5,
        fake=normal(batch, *event) - 0.5,
        noise={name: sampler(batch, event, generator).to(dtype) for name, sampler in objective.noise.items()},
        hparams=_hparams(objective, dtype, scale),
    )


def _hparams(objective: Objective, dtype: torch.dtype, scale: float = 1.0) -> Parameters:
    return {name: torch.tensor(scale * value, dtype=dtype) for name, value in objective.hparams.items()}


def _losses(objective: Objective) -> tuple[tuple[str, Loss], ...]:
    return ("critic loss", objective.critic_loss), ("generator loss", objective.generator_loss)


def _value(loss: Loss, case: _Case) -> torch.Tensor:
    return loss(lambda x: _scores(case.parameters, x), case.real, case.fake, case.noise, case.hparams)


def _graded(loss: Loss) -> Callable[..., Any]:
    """The loss of a case's tree as a function: -> ((gradient in the parameters, gradient in fake), value)."""

    def value(parameters: Parameters, fake: torch.Tensor, rest: dict[str, Any]) -> torch.Tensor:
        return loss(lambda x: _scores(parameters, x), rest["real"], fake, rest["noise"], rest["hparams"])

    graded = torch.func.grad_and_value(value, argnums=(0, 1))
    return lambda tree: graded(tree["parameters"], tree["fake"], tree)


def _stack(trees: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        key: _stack([tree[key] for tree in trees]) if isinstance(value, dict) else torch.stack([t[key] for t in trees])
        for key, value in trees[0].items()
    }


def _lift(function: Callable[..., Any], what: str, *arguments: Any) -> Any:
    try:
        return torch.func.vmap(function)(*arguments)
    except Exception as error:
        raise AssertionError(
            f"torch.func.vmap cannot lift the {what} over replicas: {error}\n"
            "Write it for one replica in tensor operations alone: no .item(), no `if` on a tensor's value, "
            "no randomness, torch.func.grad in place of torch.autograd.grad."
        ) from error


def _flat(tree: Any) -> list[torch.Tensor]:
    leaves: list[torch.Tensor] = torch.utils._pytree.tree_leaves(tree)
    return leaves


# ---------------------------------------------------------------------------------------------------------------------
# Objectives.


def check_record(objective: Objective) -> None:
    """The record's words and numbers are usable: name, reference, hyperparameters, noise."""
    words = "the name must be one lower-case word of letters, digits and _ that is a Python identifier"
    require(objective.name.isidentifier() and objective.name.islower(), f"{words}, not {objective.name!r}")
    require(bool(objective.reference.strip()), "the reference is empty: say authors, year, arXiv id, equation")
    for name, value in objective.hparams.items():
        require(name.isidentifier(), f"the hyperparameter {name!r} cannot be written in a grid file: use one word")
        fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        require(fine, f"the default of hyperparameter {name!r} must be a finite number, not {value!r}")
    for name, sampler in objective.noise.items():
        require(callable(sampler), f"the noise {name!r} must be a function (n, event shape, generator) -> [n, ...]")


def check_recipe(objective: Objective) -> None:
    """The recipe's optimisers exist and take their settings; critic steps are a positive whole number."""
    recipe = objective.recipe
    steps = recipe.critic_steps
    fine = isinstance(steps, int) and not isinstance(steps, bool) and steps >= 1
    require(fine, f"critic_steps must be a whole number from 1 on, not {steps!r}")
    optimisers = {"critic_optimizer": recipe.critic_optimizer, "generator_optimizer": recipe.generator_optimizer}
    for field, settings in optimisers.items():
        rest = dict(settings)
        name = rest.pop("name", None)
        require(name in OPTIMIZERS, f"{field} has the name {name!r}; {nearest(str(name), OPTIMIZERS)}")
        kind: Any = OPTIMIZERS[str(name)]
        known = [known.name for known in dataclasses.fields(kind)]
        for key, value in rest.items():
            require(key in known, f"{field} has an unknown setting {key!r}; {nearest(key, known)}")
            require(isinstance(value, int | float), f"{field}.{key} must be a number, not {value!r}")
        try:
            kind(**rest)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{field} cannot be built: {error}") from None


def check_documented(objective: Objective) -> None:
    """The file names its method and says where it departs from the paper; both losses have their formula."""
    texts = []
    for what, loss in _losses(objective):
        text = getattr(loss, "__doc__", None) or ""
        require("``" in text, f"the {what}'s docstring must give its formula between double backquotes")
        texts += [text, getattr(loss, "__globals__", {}).get("__doc__") or ""]
    require(bool(texts[1].strip()), "the file needs a docstring that names the method and its paper")
    require(
        any("Departures" in text for text in texts),
        "the docstring of the file, or of a loss, must say 'Departures from the paper: none' or what they are",
    )


def check_scalar_losses(objective: Objective) -> None:
    """Losses are finite scalars of the type of their samples, for vector and image events."""
    for dtype in (torch.float32, torch.float64):
        for event in EVENTS:
            case = _case(objective, event, dtype=dtype)
            for what, loss in _losses(objective):
                value = _value(loss, case)
                require(
                    value.shape == () and value.dtype == dtype,
                    f"the {what} of {dtype} samples with events {event} must be a scalar [] of that type; "
                    f"it is {list(value.shape)} of {value.dtype}",
                )
                require(bool(value.isfinite()), f"the {what} of ordinary samples with events {event} is {value.item()}")


def check_pure(objective: Objective) -> None:
    """A loss or projection gives the same result twice, changes none of its arguments and draws nothing at random."""
    functions: dict[str, Callable[[_Case], Any]] = {what: partial(_value, loss) for what, loss in _losses(objective)}
    if objective.project is not None:
        project = objective.project
        functions["projection"] = lambda case: dict(project(case.parameters, case.hparams))
    for what, function in functions.items():
        case = _case(objective)
        before = [tensor.clone() for tensor in _flat(case.tree())]
        with GlobalRandomness() as randomness:
            first = [tensor.clone() for tensor in _flat(function(case))]
            randomness.stir()
            second = _flat(function(case))
        same = all(map(torch.equal, first, second))
        require(same, f"the {what} differs between two calls with equal arguments: it must hold no state or randomness")
        require(not randomness.used, f"the {what} draws from global randomness: draw it in `noise` instead")
        kept = all(map(torch.equal, before, _flat(case.tree())))
        require(kept, f"the {what} changes one of its arguments in place")


def check_lifted(objective: Objective) -> None:
    """Lifted over replicas with vmap, each with its own hyperparameters, values and gradients equal those of a loop."""
    for event in EVENTS:
        trees = [_case(objective, event, seed=r, scale=1 + r / 4).tree() for r in range(3)]
        for what, loss in _losses(objective):
            looped = _stack_leaves([_flat(_graded(loss)(tree)) for tree in trees])
            lifted = _flat(_lift(_graded(loss), what, _stack(trees)))
            for one, other in zip(lifted, looped, strict=True):
                close(one, other, f"the {what}, or its gradient, differs between vmap and a loop for events {event}")


def _stack_leaves(replicas: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    return [torch.stack(leaves) for leaves in zip(*replicas, strict=True)]


def check_gradients(objective: Objective) -> None:
    """Gradients of both losses, in parameters and in fake samples, equal finite differences in float64."""
    for event in EVENTS:
        case = _case(objective, event, batch=3)
        for what, loss in _losses(objective):

            def value(fake: torch.Tensor, *parameters: torch.Tensor, case: _Case = case, loss: Loss = loss) -> Any:
                bound = dict(zip(case.parameters, parameters, strict=True))
                return _value(loss, dataclasses.replace(case, fake=fake, parameters=bound))

            inputs = [tensor.clone().requires_grad_() for tensor in (case.fake, *case.parameters.values())]
            try:
                torch.autograd.gradcheck(value, inputs)
            except RuntimeError as error:  # GradcheckError is one
                raise AssertionError(
                    f"the gradient of the {what} is not its derivative, events {event}: {error}"
                ) from None


def check_nan_replica(objective: Objective) -> None:
    """A replica that is not a number leaves the others bitwise alone."""
    trees = [_case(objective, (2, 3, 4), seed=r, dtype=torch.float32).tree() for r in range(3)]
    healthy = _stack(trees)
    for spoilt in ("parameters", "fake"):
        sick = _stack([trees[0], {**trees[1], spoilt: _nan_like(trees[1][spoilt])}, trees[2]])
        for what, loss in _losses(objective):
            for one, other in zip(
                _flat(_lift(_graded(loss), what, sick)), _flat(_lift(_graded(loss), what, healthy)), strict=True
            ):
                require(
                    torch.equal(one[::2], other[::2]),
                    f"a replica whose {spoilt} are NaN changes the {what}, or its gradient, of its neighbours",
                )


def _nan_like(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _nan_like(value) for key, value in tree.items()}
    return torch.full_like(tree, math.nan)


def check_order(objective: Objective) -> None:
    """The order of the samples in a batch, with their noise, does not matter."""
    for event in EVENTS:
        case = _case(objective, event)
        turned = dataclasses.replace(
            case,
            real=case.real.roll(1, 0),
            fake=case.fake.roll(1, 0),
            noise={name: values.roll(1, 0) for name, values in case.noise.items()},
        )
        for what, loss in _losses(objective):
            close(
                _value(loss, turned),
                _value(loss, case),
                f"the {what} depends on the order of the samples, events {event}",
            )


def _ladder(scores: torch.Tensor, event: tuple[int, ...], along: torch.Tensor, seed: int) -> torch.Tensor:
    """Samples [B, *E] whose part along the unit direction ``along`` is given, and which differ in all others too."""
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(len(scores), *event, generator=generator, dtype=torch.float64)
    part = (samples * along).flatten(1).sum(1) - scores
    return samples - part.reshape(-1, *(1,) * len(event)) * along


def check_generator_direction(objective: Objective) -> None:
    """Down the generator loss, fake samples move to where a linear critic scores higher.

    All real samples are scored higher than all fake ones, and all scores are small: from there a game of regression, of
    pairs or of distances between the two laws must raise its fake samples too.
    """
    for event in EVENTS:
        case = _case(objective, event)
        along = case.parameters["weight"][:, 0].reshape(event)
        along = along / torch.linalg.vector_norm(along)
        ticks = torch.linspace(0.05, 0.45, len(case.real), dtype=torch.float64)
        real, fake = _ladder(ticks, event, along, seed=1), _ladder(-ticks, event, along, seed=2)

        def critic(x: torch.Tensor, along: torch.Tensor = along) -> torch.Tensor:
            return (x * along).flatten(1).sum(1)

        def value(
            fake: torch.Tensor, case: _Case = case, real: torch.Tensor = real, critic: Any = critic
        ) -> torch.Tensor:
            return objective.generator_loss(critic, real, fake, case.noise, case.hparams)

        uphill = -(torch.func.grad(value)(fake) * along).flatten(1).sum(1)
        require(
            bool((uphill.abs() > 1e-9).any()),
            f"the generator loss sends no gradient to the fake samples, events {event}",
        )
        require(
            bool((uphill >= -1e-9).all()),
            f"down the generator loss some fake samples move to lower scores, though every real sample is scored "
            f"higher, events {event}: is a sign flipped?",
        )


def check_critic_direction(objective: Objective) -> None:
    """Down the critic loss real samples are scored higher, or fake ones lower, and neither goes the wrong way.

    The critic has two plateaus, one under the real and one under the fake samples, whose heights are free: a penalty on
    slopes does not see them, so that it is the game itself that is looked at. The real samples begin at a score of
    about 1/2, the fake ones at about 1/4: a game of regression or of distances has no direction at equal scores.
    """
    for event in EVENTS:
        case = _case(objective, event)
        sides = {"real": case.real.abs() + 0.1, "fake": -case.fake.abs() - 0.1}

        def value(high: torch.Tensor, low: torch.Tensor, case: _Case = case, sides: Parameters = sides) -> torch.Tensor:
            def critic(x: torch.Tensor) -> torch.Tensor:
                plateau = torch.where(x.flatten(1)[:, 0] > 0, high, low)
                return plateau + 0.01 * _scores(case.parameters, x)

            return objective.critic_loss(critic, sides["real"], sides["fake"], case.noise, case.hparams)

        heights = torch.tensor([0.5, 0.25], dtype=torch.float64)
        high, low = (-gradient.item() for gradient in torch.func.grad(value, argnums=(0, 1))(*heights))
        words = f"down the critic loss the scores of {{}}, events {event}: is a sign flipped?"
        require(high >= -1e-9, words.format("real samples fall"))
        require(low <= 1e-9, words.format("fake samples rise"))
        require(high - low > 1e-6, words.format("real and fake samples do not part"))


def check_slopes_declared(objective: Objective) -> None:
    """A loss looks at the critic's input gradient if, and only if, the objective says so: ``penalises_slopes``.

    A critic whose scores do not depend on its input, as far as derivatives go, changes a loss only by its slopes. It is
    tried steep as well: a penalty on one side does not see a gentle one.
    """
    looks = []
    for gain in (1, 30):
        case = _case(objective)
        case.parameters["readout"] *= gain
        for what, loss in _losses(objective):

            def flat(x: torch.Tensor, case: _Case = case) -> torch.Tensor:
                return _scores(case.parameters, x.detach())

            seen = loss(flat, case.real, case.fake, case.noise, case.hparams)
            if not torch.equal(seen, _value(loss, case)):
                looks.append(what)
    require(
        objective.penalises_slopes or not looks,
        f"the {(looks or [''])[0]} looks at the critic's gradient at its input: say penalises_slopes=True in the "
        "objective, so that a critic with batch norm, whose gradient at one sample depends on the others, is refused",
    )
    require(
        bool(looks) or not objective.penalises_slopes,
        "penalises_slopes is said, but no loss looks at the critic's gradient at its input: leave it out, "
        "for critics with batch norm would be refused without need",
    )


def check_large_scores(objective: Objective) -> None:
    """In float32, losses and their gradients stay finite for every pair of scores from -60 to 60."""
    ticks = torch.linspace(-60, 60, 13)
    real, fake = (scores.reshape(-1, 1, 1) for scores in torch.cartesian_prod(ticks, ticks).unbind(1))
    noise = _case(objective, (1,), batch=1, dtype=torch.float32).noise
    hparams = _hparams(objective, torch.float32)

    for what, loss in _losses(objective):

        def value(fake: torch.Tensor, gain: torch.Tensor, real: torch.Tensor, loss: Loss = loss) -> torch.Tensor:
            return loss(lambda x: gain * x[:, 0], real, fake, noise, hparams)

        graded = torch.func.grad_and_value(value, argnums=(0, 1))
        leaves = _flat(_lift(graded, what, fake, torch.ones(len(fake)), real))
        finite = torch.stack([leaf.isfinite().reshape(len(leaf), -1).all(1) for leaf in leaves]).all(0)
        if not finite.all():
            worst = int(finite.int().argmin())
            raise AssertionError(
                f"the {what} or its gradient is not finite in float32 where the score of a real sample is "
                f"{real[worst].item():g} and of a fake one {fake[worst].item():g}; "
                "write log(1 + e^x) with objectives.base.softplus, not with log and exp"
            )


def check_flat_critic(objective: Objective) -> None:
    """Losses and their gradients stay finite for a critic that scores everything alike: its slope is zero."""
    for event in EVENTS:
        tree = _case(objective, event, dtype=torch.float32).tree()
        tree["parameters"] = {name: torch.zeros_like(value) for name, value in tree["parameters"].items()}
        for what, loss in _losses(objective):
            for leaf in _flat(_graded(loss)(tree)):
                require(
                    bool(leaf.isfinite().all()),
                    f"the {what} or its gradient is not finite for a constant critic, events {event}; "
                    "measure slopes with objectives.base.slopes, whose norm has a derivative at zero",
                )


def check_noise(objective: Objective) -> None:
    """Noise comes from the generator it is given and from nothing else: [n, ...], one draw for each sample."""
    for name, sampler in objective.noise.items():
        for event in EVENTS:
            for n in (1, 6):
                shape = sampler(n, event, torch.Generator().manual_seed(0)).shape
                require(
                    len(shape) >= 1 and shape[0] == n,
                    f"the noise {name!r} for {n} samples with events {event} has shape {list(shape)}, not [{n}, ...]",
                )
            check_randomness(partial(sampler, 6, event), f"the noise {name!r}")


def check_arguments_matter(objective: Objective) -> None:
    """Every hyperparameter and every noise changes something: a loss, or the projection."""

    def outcome(case: _Case) -> list[torch.Tensor]:
        projected = objective.project(case.parameters, case.hparams) if objective.project is not None else {}
        return _flat([*(_value(loss, case) for _, loss in _losses(objective)), dict(projected)])

    case, redrawn = _case(objective), _case(objective, seed=1)
    before = outcome(case)
    for name, value in case.hparams.items():
        after = outcome(dataclasses.replace(case, hparams={**case.hparams, name: 2 * value + 0.5}))
        require(
            not all(map(torch.equal, before, after)),
            f"the hyperparameter {name!r} changes nothing: is its key misspelt?",
        )
    for name in case.noise:
        after = outcome(dataclasses.replace(case, noise={**case.noise, name: redrawn.noise[name]}))
        require(not all(map(torch.equal, before, after)), f"the noise {name!r} changes nothing: is its key misspelt?")


def check_projection(objective: Objective) -> None:
    """The projection keeps names, shapes and types, takes hyperparameters of its replica, and spares its neighbours."""
    if objective.project is None:
        return
    project = objective.project
    trees = [_case(objective, seed=r, scale=1 + r / 4).tree() for r in range(3)]

    def projected(tree: dict[str, Any]) -> Parameters:
        return dict(project(tree["parameters"], tree["hparams"]))

    looped = [projected(tree) for tree in trees]
    for tree, after in zip(trees, looped, strict=True):
        shapes = {name: (value.shape, value.dtype) for name, value in after.items()}
        expected = {name: (value.shape, value.dtype) for name, value in tree["parameters"].items()}
        require(shapes == expected, f"the projection must keep names, shapes and types: {expected} became {shapes}")
    lifted = _lift(projected, "projection", _stack(trees))
    for name, values in _stack(looped).items():
        close(lifted[name], values, f"the projection of {name!r} differs between vmap and a loop")
    sick = _stack([trees[0], {**trees[1], "parameters": _nan_like(trees[1]["parameters"])}, trees[2]])
    for name, values in _lift(projected, "projection", sick).items():
        spared = torch.equal(values[::2], lifted[name][::2])
        require(spared, f"a replica whose parameters are NaN changes the projection of {name!r} of its neighbours")


OBJECTIVE_CHECKS: Checks[Objective] = {
    "record": check_record,
    "recipe": check_recipe,
    "documented": check_documented,
    "scalar_losses": check_scalar_losses,
    "pure": check_pure,
    "lifted": check_lifted,
    "gradients": check_gradients,
    "nan_replica": check_nan_replica,
    "order": check_order,
    "generator_direction": check_generator_direction,
    "critic_direction": check_critic_direction,
    "slopes_declared": check_slopes_declared,
    "large_scores": check_large_scores,
    "flat_critic": check_flat_critic,
    "noise": check_noise,
    "arguments_matter": check_arguments_matter,
    "projection": check_projection,
}
"""What an objective must pass."""
