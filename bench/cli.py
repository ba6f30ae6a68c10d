"""The commands. Nothing heavy is imported before a command needs it, so that help and mistakes answer at once."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bench import ROOT, lazy_torch
from bench.errors import UserError, nearest
from bench.records import printable

if TYPE_CHECKING:
    from bench.grid import Grid
    from bench.plugins import File
    from bench.report.choices import Choices

KINDS = (
    "objectives", "datasets", "metrics", "networks", "optimizers", "pairs", "samplers", "experiments", "grids",
    "claims",
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Mistakes are one line with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise UserError(f"unknown {action.metavar or action.dest} {value!r}; {nearest(str(value), action.choices)}")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 well, 1 some run failed, 2 bad input, 128 + n stopped by signal n."""
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words
    try:
        _check_flags(words)
        arguments = _parser().parse_args(words)
        lazy_torch.install()
        _refuse_others_packages()
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"bench: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        return 0
    except OSError as error:
        if debug:
            traceback.print_exc()
        words = f"{error.filename or 'the system'}: {error.strerror or error}"
        print(f"bench: {printable(words)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m bench",
        description="Settle arguments about GAN objectives: train them on a grid, measure with floors and intervals.",
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

    def add(
        name: str, function: Callable[[argparse.Namespace], int], words: str, plugins: bool = True
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
        if plugins:
            command.add_argument("--plugin", action="append", default=[], type=Path, metavar="FILE", dest="plugins",
                                 help="a file with more objectives, data sets or metrics; may be repeated")  # fmt: skip
        command.set_defaults(command=function)
        return command

    run = add("run", _run, "train what is missing of a grid, then write tables, figures and the page")
    run.add_argument("--grid", required=True, type=Path, metavar="FILE", help="the grid file")
    _add_launch(run, "evaluate.emd_n=500")
    run.add_argument("--seeds", type=int, metavar="N", help="how many seeds, in place of the grid's")
    run.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core, or one for a GPU)")
    run.add_argument("--way", choices=("auto", "loop", "vmap", "compiled", "cuda_graph"), default="auto",
                     help="how replicas are stepped (default: auto, the fastest by measurement)")  # fmt: skip
    run.add_argument("--retry", choices=("failed",), help="train again the runs that failed")
    run.add_argument("--strict", action="store_true", help="exit code 1 where a run diverged, too")
    run.add_argument("--shard", metavar="I/N", help="do the I-th of N parts of the runs, for arrays of jobs")
    run.add_argument("--timeout", type=_above_zero, metavar="SECONDS",
                     help="end a unit that makes no progress for so long (default: none is ended)")  # fmt: skip
    run.add_argument("--memory", type=_above_zero, metavar="GB",
                     help="what all processes together may take (default: 9/10 of what is free)")  # fmt: skip
    run.add_argument("--launch", choices=("local", "ray"), default="local",
                     help="on this machine, or on a Ray cluster (default: local)")  # fmt: skip
    run.add_argument("--ray-address", metavar="ADDRESS",
                     help="of the cluster, or auto (default: a cluster of this machine's own)")  # fmt: skip
    run.add_argument("--gpu-fraction", type=_above_zero, metavar="F", help="of a GPU, for a unit on Ray (default: 1)")

    throughput = add("throughput", _throughput, "time training steps by every way, the plain loop beside them")
    throughput.add_argument("--grid", type=Path, default=ROOT / "grids" / "throughput.yaml", metavar="FILE",
                            help="the grid file (default: grids/throughput.yaml)")  # fmt: skip
    _add_launch(throughput, "rounds=5")
    throughput.add_argument("--json", action="store_true", help="print the rows, and nothing else, as JSON")

    claims = add("claims", _claims, "train and judge what the ledger claims, and write it", plugins=False)
    claims.add_argument("--only", action="append", default=[], metavar="ID",
                        help="a claim, as in --only C1 or --only C1-tuned; may be repeated")  # fmt: skip
    claims.add_argument("--budget", choices=("ci", "cpu", "gpu"), default="cpu", metavar="NAME",
                        help="ci: two minutes; cpu: some two hours on two cores; gpu: all (default: cpu)")  # fmt: skip
    claims.add_argument("--out", type=Path, default=Path("results"), metavar="DIR",
                        help="folder of the results folders and of the ledger (default: results)")  # fmt: skip
    claims.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where (default: auto)")
    claims.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core, or one for a GPU)")
    claims.add_argument("--dry-run", action="store_true", help="print what there is to train, and do nothing")

    report = add("report", _report, "rebuild tables, figures and the page from the records alone")
    report.add_argument("folder", type=Path, metavar="DIR", help="results folder")
    report.add_argument("--gif", action="store_true", help="write images over training as animations too")
    report.add_argument("--metrics", metavar="NAME,NAME", help="columns of metrics that tables show (default: all)")
    report.add_argument("--estimator", choices=("mean", "iqm", "median"), help="of what tables show (default: mean)")
    report.add_argument("--digits", type=_digits, metavar="N", help="digits of intervals that tables show (default: 2)")
    report.add_argument("--columns", choices=("single", "double", "long"),
                        help="LaTeX for one column of a page, for both, or over pages (default: double)")  # fmt: skip
    status = add("status", _status, "say how far a grid has come, from its results folder alone", plugins=False)
    status.add_argument("folder", type=Path, metavar="DIR", help="results folder")
    status.add_argument("--watch", nargs="?", type=_above_zero, const=5.0, metavar="SECONDS",
                        help="again and again, until all is done (default: every 5 s)")  # fmt: skip
    doctor = add("doctor", _doctor, "check every record of a results folder, name and quarantine bad ones", False)
    doctor.add_argument("folder", type=Path, metavar="DIR", help="results folder")
    doctor.add_argument("--fix", action="store_true", help="clean up what the dead have left, and requeue what failed")
    slurm = add("slurm-script", _slurm_script, "print a file for sbatch that does a grid in an array of jobs", False)
    slurm.add_argument("--grid", required=True, type=Path, metavar="FILE", help="the grid file")
    slurm.add_argument("--out", type=Path, metavar="DIR", help="results folder (default: results/<grid name>)")
    slurm.add_argument("--tasks", required=True, type=int, metavar="N", help="jobs, each of which does a shard")
    slurm.add_argument("--time", required=True, metavar="T", help="limit of a job, as Slurm writes it: 8:00:00")
    slurm.add_argument("--cpus", type=int, default=1, metavar="N", help="cores of a job (default: 1)")
    slurm.add_argument("--gpu", action="store_true", help="a job trains on a GPU")
    slurm.add_argument("--memory", metavar="SIZE", help="of a job, as Slurm writes it: 16G")
    slurm.add_argument("--partition", metavar="NAME", help="where")
    slurm.add_argument("--account", metavar="NAME", help="on whose account")
    slurm.add_argument("words", nargs="*", metavar="-- FLAG", help="more flags for run, after --")
    compare = add("compare", _compare, "show in what results folders differ, and merge those of several machines")
    compare.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="two results folders or more")
    compare.add_argument("--out", type=Path, metavar="DIR", help="a new results folder with the records of all")
    compare.add_argument("--mix", action="store_true",
                         help="also of different code or devices; where runs differ, the first is kept")  # fmt: skip
    export = add("export", _export, "write a results folder for a spreadsheet or for TensorBoard", plugins=False)
    export.add_argument("folder", type=Path, metavar="DIR", help="results folder")
    export.add_argument("--to", required=True, choices=("csv", "tensorboard"), metavar="FORMAT",
                        help="csv: one file of all rows; tensorboard: an event file a run")  # fmt: skip
    export.add_argument("--out", type=Path, metavar="PATH",
                        help="where to (default: DIR/results.csv or DIR/tensorboard)")  # fmt: skip
    listing = add("list", _list, "list what a grid can name")
    listing.add_argument("kind", nargs="?", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    check = add("check", _check, "validate a grid file without running it, or test what a plug-in file brings")
    check.add_argument("file", type=Path, metavar="FILE", help="a grid file (.yaml) or a plug-in file (.py)")
    return parser


def _add_launch(command: argparse.ArgumentParser, override: str) -> None:
    """The flags of commands that do what is missing of a grid, with something that one would set."""
    command.add_argument("--out", type=Path, metavar="DIR", help="results folder (default: results/<grid name>)")
    command.add_argument("--set", action="append", default=[], metavar="key=value", dest="overrides",
                         help=f"set something in the grid, as in --set {override}; may be repeated")  # fmt: skip
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where (default: auto)")
    command.add_argument("--dry-run", action="store_true", help="print the plan and its cost, and do nothing")
    command.add_argument("--force", action="store_true", help="do again what has a record")


def _check_flags(words: Sequence[str]) -> None:
    """A wrong flag gets the nearest right one, which argparse does not offer."""
    parser = _parser()
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    command = next((word for word in words if word in subparsers.choices), None)
    known = set((subparsers.choices[command] if command else parser)._option_string_actions) | {"--debug"}
    for word in itertools.takewhile(lambda word: word != "--", words):
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in known:
            raise UserError(f"unknown flag {flag!r}; {nearest(flag, known)}")


def _refuse_others_packages() -> None:
    """``datasets`` and ``objectives`` are the checkout's own, which stands first on the path, unless one was loaded."""
    for name in ("datasets", "objectives"):
        origin = getattr(sys.modules.get(name), "__file__", None)
        if origin and Path(origin).resolve().parent != ROOT / name:
            raise UserError(f"another package named {name!r} was imported before this one, from {origin}; uninstall it")


def _plugins(arguments: argparse.Namespace) -> tuple[File, ...]:
    """The plug-in files that were named; they and installed plug-ins have been loaded."""
    from bench import plugins

    files = plugins.read(arguments.plugins)
    plugins.load(files)
    return files


def _run(arguments: argparse.Namespace) -> int:
    from bench.grid import load_grid
    from bench.launch.run import Options, run
    from bench.launch.shard import Shard

    if arguments.launch != "ray" and (arguments.ray_address or arguments.gpu_fraction):
        raise UserError("--ray-address and --gpu-fraction are for --launch ray; add it")
    shard = Shard.parse(arguments.shard) if arguments.shard else None
    plugins = _plugins(arguments)
    grid = load_grid(arguments.grid, arguments.overrides, arguments.seeds)
    options = Options(
        folder=arguments.out or Path("results") / grid.name,
        device=arguments.device,
        workers=_positive(arguments.workers),
        way=None if arguments.way == "auto" else arguments.way,
        dry=arguments.dry_run,
        force=arguments.force,
        retry=arguments.retry is not None,
        strict=arguments.strict,
        shard=shard,
        engine=arguments.launch,
        ray_address=arguments.ray_address,
        gpu_fraction=arguments.gpu_fraction,
        memory=arguments.memory,
        timeout=arguments.timeout,
        plugins=plugins,
    )
    return run(grid, options)


def _throughput(arguments: argparse.Namespace) -> int:
    from bench import records
    from bench.grid import load_grid
    from bench.launch.run import Options, run

    plugins = _plugins(arguments)
    grid = load_grid(arguments.grid, arguments.overrides)
    for cell in grid.cells:
        if cell.experiment != "throughput":
            raise UserError(f"{arguments.grid}: asks for {cell.experiment}, not throughput; `run` does such a grid")
    options = Options(
        folder=arguments.out or Path("results") / grid.name,
        device=arguments.device,
        dry=arguments.dry_run,
        force=arguments.force,
        plugins=plugins,
    )
    if not arguments.json:
        return run(grid, options)
    with contextlib.redirect_stdout(sys.stderr):
        code = run(grid, options)
    frame, _ = records.load(options.folder, {run.id for run in grid.runs()})
    print(frame.to_json(orient="records", indent=1, double_precision=15))
    return code


def _claims(arguments: argparse.Namespace) -> int:
    from bench.claims import CLAIMS
    from bench.claims.ledger import Options, settle

    options = Options(
        only=tuple(arguments.only),
        budget=arguments.budget,
        root=arguments.out,
        device=arguments.device,
        workers=_positive(arguments.workers),
        dry=arguments.dry_run,
    )
    return settle(CLAIMS, options)


def _positive(workers: int | None) -> int | None:
    if workers is not None and workers < 1:
        raise UserError(f"--workers is a whole number from 1, not {workers}")
    return workers


def _report(arguments: argparse.Namespace) -> int:
    from bench.launch.run import rebuild

    _plugins(arguments)
    return rebuild(arguments.folder, gif=arguments.gif, choices=_choices(arguments))


def _above_zero(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0, not {word!r}")
    return number


def _slurm_script(arguments: argparse.Namespace) -> int:
    from bench.grid import load_grid
    from bench.launch.slurm import script

    _check_flags(["run", *arguments.words])  # what is wrong is told now, not by a job that has waited for its turn
    run = _parser().parse_args(["run", "--grid", str(arguments.grid), *arguments.words])
    _plugins(run)
    grid = load_grid(run.grid, run.overrides, run.seeds)
    text = script(
        arguments.words,
        grid=arguments.grid,
        out=arguments.out or Path("results") / grid.name,
        tasks=arguments.tasks,
        time=arguments.time,
        cpus=arguments.cpus,
        gpu=arguments.gpu,
        memory=arguments.memory,
        partition=arguments.partition,
        account=arguments.account,
    )
    print(text, end="")
    return 0


def _digits(word: str) -> int:
    if word not in tuple("123456789"):
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 9, not {word!r}")
    return int(word)


def _choices(arguments: argparse.Namespace) -> Choices | None:
    """What is chosen of tables; None where nothing is."""
    made = {name: getattr(arguments, name) for name in ("metrics", "estimator", "digits", "columns")}
    made = {name: value for name, value in made.items() if value is not None}
    if not made:
        return None
    if "metrics" in made:
        made["metrics"] = tuple(name for name in re.split(r"[,\s]+", made["metrics"]) if name)
    lazy_torch.withdraw()
    from bench.report.choices import Choices

    return Choices(**made)


def _status(arguments: argparse.Namespace) -> int:
    from bench.launch import status

    if arguments.watch:
        status.watch(arguments.folder, arguments.watch)
    else:
        print(status.status(arguments.folder))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from bench.launch.doctor import examine

    found = examine(arguments.folder, fix=arguments.fix)
    print(found.text)
    return found.code


def _compare(arguments: argparse.Namespace) -> int:
    _plugins(arguments)
    lazy_torch.withdraw()
    from bench.report.compare import compare

    found = compare(arguments.folders, arguments.out, mix=arguments.mix)
    print(found.text, end="")
    for error in found.errors:
        print(f"bench: left out: {error}", file=sys.stderr)
    return 2 if found.errors else 0


def _export(arguments: argparse.Namespace) -> int:
    lazy_torch.withdraw()
    from bench.export import export

    done = export(arguments.folder, arguments.to, arguments.out)
    print(f"{done.path}: {done.rows:,} rows of {done.runs:,} runs, {done.unmeasured:,} of them without a number")
    for error in done.errors:
        print(f"bench: left out: {error}", file=sys.stderr)
    return 2 if done.errors else 0


def _check(arguments: argparse.Namespace) -> int:
    if arguments.file.suffix == ".py":
        return _check_plugin(arguments)
    from bench.grid import load_grid

    _plugins(arguments)
    grid: Grid = load_grid(arguments.file)
    print(f"{arguments.file}: good: {len(grid.cells):,} cells x {len(grid.seeds):,} seeds")
    for words in grid.missing_files():
        print(f"{arguments.file}: before it can run: {words}")
    return 0


def _check_plugin(arguments: argparse.Namespace) -> int:
    """Test what the file brings, and say what is wrong with each; raises a UserError where something is."""
    from bench import plugins
    from bench.contracts import check

    arguments.plugins.append(arguments.file)
    _plugins(arguments)
    entries = plugins.brought(*plugins.read([arguments.file]))
    lazy_torch.withdraw()
    refused = 0
    for entry in entries:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stranger's code is judged by what it gives
            found = check(entry.thing)
        wrong = {name: words for name, words in found.items() if words is not None}
        refused += bool(wrong)
        verdict = f"{len(wrong)} of {len(found)} checks failed" if wrong else f"{len(found)} checks passed"
        print(f"{entry.place}: {entry.kind.word} {entry.name}: {verdict}")
        for name, words in wrong.items():
            lines = "\n".join(map(printable, f"{name}: {words}".splitlines()))
            print(textwrap.indent(lines, "  "))
    if refused or not entries:
        raise UserError(f"{arguments.file}: {f'{refused} of {len(entries)} refused' if entries else 'brings nothing'}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from bench.listing import listing

    _plugins(arguments)
    kinds = [arguments.kind] if arguments.kind else KINDS
    print("\n\n".join(listing(kind) for kind in kinds))
    return 0
