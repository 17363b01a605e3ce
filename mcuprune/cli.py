"""The command line: each verb reads its flags, calls one function and prints what it returns."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcuprune import __version__, listing
from mcuprune.board import load_board
from mcuprune.budget import EXAMPLE, parse_budget
from mcuprune.config import RunConfig, load_config, parse_shape
from mcuprune.errors import McupruneError, ToolchainError
from mcuprune.progress import open_progress
from mcuprune.terminal import to_json

if TYPE_CHECKING:
    from mcuprune.report.model import Report, Times

app = typer.Typer(
    name="mcuprune",
    help="Compress a CNN under a microcontroller's hard budgets and get verified C99 firmware.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
boards_app = typer.Typer(help="List, show or check boards.", invoke_without_command=True)
app.add_typer(boards_app, name="boards")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
BoardName = Annotated[str, typer.Option("--board", "-b", help="Family, board name or board file.")]
ModelPath = Annotated[str, typer.Argument(help="file.py:Net, .onnx, .tflite or a Keras file.")]
Lossless = Annotated[
    bool, typer.Option(help="Fold channels that are constant or unread first; no output byte changes.")
]
RunFolder = Annotated[Path, typer.Argument(help="Folder that `compress` or `export` wrote.")]
BudgetText = Annotated[str | None, typer.Option("--budget", help=f"E.g. {EXAMPLE}")]
# The groups of `compress --help`.
DATA, TARGETS, METHOD, FORM, TRAINING, RUN = (
    "Data and name",
    "Target and budgets",
    "Compression",
    "Form of the network, chosen before its widths",
    "Training",
    "Run",
)
OPTIMIZE = "speed, size, ram or balanced: what kernels are chosen for."
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]


def _print(result: object, text: str, as_json: bool) -> None:
    typer.echo(to_json(result) if as_json else text)


def _print_report(found: Report, times: Times | None, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(found))
        return
    from mcuprune.report.console import print_report

    print_report(found, times)


@app.command()
def compress(
    model: Annotated[
        str | None,
        typer.Argument(
            help="file.py:Net, .onnx, .tflite, Keras, an image, or NAME[:OPTION=VALUE]; none: what suits."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Built-in data and model.", rich_help_panel=DATA)] = None,
    data: Annotated[
        str | None, typer.Option(help="Image folder, .npz, or file.py:function.", rich_help_panel=DATA)
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option("--board", "-b", help="As for `analyze`; several: a sweep.", rich_help_panel=TARGETS),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help=f"E.g. {EXAMPLE}; several, loose to tight: all from one run.", rich_help_panel=TARGETS
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="A pruning method, see `mcuprune methods`.", rich_help_panel=METHOD)
    ] = None,
    binding: Annotated[
        str | None, typer.Option(help="pi, lagrangian, augmented or penalty.", rich_help_panel=METHOD)
    ] = None,
    distill: Annotated[
        float | None, typer.Option(help="Share of learning from the dense network.", rich_help_panel=METHOD)
    ] = None,
    inputs: Annotated[
        int | None,
        typer.Option(
            help="Read only so many channels (sensors, features), the best ones.", rich_help_panel=FORM
        ),
    ] = None,
    input_axis: Annotated[
        str | None,
        typer.Option(help="channels, or columns (coefficients of a spectrogram).", rich_help_panel=FORM),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Average images down to so many rows.", rich_help_panel=FORM)
    ] = None,
    drop_blocks: Annotated[
        bool | None,
        typer.Option(
            "--drop-blocks", help="Leave out residual blocks that are not needed.", rich_help_panel=FORM
        ),
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Below it, exit code 5.", rich_help_panel=TARGETS)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Training epochs altogether.", rich_help_panel=TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Training samples per step.", rich_help_panel=TRAINING)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Its largest value.", rich_help_panel=TRAINING)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same bytes.", rich_help_panel=DATA)] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda: where training computes.", rich_help_panel=TRAINING)
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, float32 or bf16: how it does.", rich_help_panel=TRAINING)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C symbols.", rich_help_panel=DATA)] = None,
    controls: Annotated[
        bool | None,
        typer.Option(
            "--controls/--no-controls", help="Train what it is compared with.", rich_help_panel=TRAINING
        ),
    ] = None,
    all_controls: Annotated[
        bool | None, typer.Option("--all-controls", help="And the costly ones.", rich_help_panel=TRAINING)
    ] = None,
    optimize: Annotated[str | None, typer.Option(help=f"fit, {OPTIMIZE}", rich_help_panel=TARGETS)] = None,
    toolchain: Annotated[
        str | None, typer.Option(help="zig (pinned, from pip) or gcc.", rich_help_panel=TARGETS)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write.", rich_help_panel=RUN)
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML; flags override it.", rich_help_panel=RUN)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run.", rich_help_panel=RUN)
    ] = False,
    as_json: Json = False,
) -> None:
    """Train, prune, quantize, generate C, build, emulate, verify, measure, report."""
    given = {key: value for key, value in locals().items() if key not in ("config", "as_json", "board")}
    given |= {"budget": None, "resume": resume or None, "board": board[0] if board else None}
    if budget:  # whatever the file says: one, or a family
        given |= {"budget": budget[0], "family": ()} if len(budget) == 1 else {"family": tuple(budget)}
    run = load_config(config, given)
    if board and len(board) > 1:
        grid = {"boards": tuple(board), "budgets": tuple(map(str, run.family))}
        _sweep(run.model_copy(update={"family": ()}), grid, 1, "local", as_json)
        return
    if run.family:
        _family(run, as_json)
        return
    from mcuprune import pipeline

    results: list[tuple[Report, Times]] = []
    try:
        with open_progress(quiet=as_json) as progress:
            pipeline.compress(run, progress, lambda *result: results.append(result))
    finally:  # also when the result is at fault: what was found is shown before the error
        for found, times in results:
            _print_report(found, times, as_json)
            typer.echo(f"written to {run.out}; open {run.out / 'report.html'}", err=True)


def _family(run: RunConfig, as_json: bool) -> None:
    from mcuprune import family

    def show(found: Report, times: Times, folder: Path) -> None:
        if not as_json:
            _print_report(found, times, as_json)
            typer.echo(f"written to {folder}; open {folder / 'report.html'}", err=True)

    with open_progress(quiet=as_json) as progress:
        found = family.compress_family(run, progress, show)
    _print({"rows": found.rows}, found.text(), as_json)
    typer.echo(f"written to {run.out}; open {run.out / 'sweep.html'}", err=True)
    found.require()


@app.command()
def sweep(
    model: Annotated[str | None, typer.Argument(help="As for `compress`.")] = None,
    task: Annotated[str | None, typer.Option(help="Built-in data and model.")] = None,
    data: Annotated[str | None, typer.Option(help="As for `compress`.")] = None,
    board: Annotated[list[str] | None, typer.Option("--board", "-b", help="Repeat for several.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help=f"Repeat for several, e.g. {EXAMPLE}")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Training epochs of a run.")] = None,
    controls: Annotated[bool, typer.Option("--controls/--no-controls", help="As for `compress`.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Runs at the same time; -1: one per core.")] = 1,
    engine: Annotated[str, typer.Option(help="local, dask[:ADDRESS] or ray[:ADDRESS].")] = "local",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder with a folder per run.")] = Path(
        "runs/sweep"
    ),
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML of what all runs share.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Several boards, budgets, methods and seeds; repeat the command to continue where it stopped."""
    shared = {"model": model, "task": task, "data": data, "epochs": epochs, "controls": controls, "out": out}
    grid = {"boards": board, "budgets": budget, "methods": method, "seeds": seed}
    parts = {key: tuple(value or ()) for key, value in grid.items()}
    _sweep(load_config(config, shared), parts, jobs, engine, as_json)


def _sweep(run: RunConfig, grid: dict[str, tuple], jobs: int, engine: str, as_json: bool) -> None:
    from mcuprune import sweep as sweeps

    found = sweeps.sweep(run, sweeps.Grid(**grid), jobs, engine, lambda line: typer.echo(line, err=True))
    _print({"rows": found.rows}, found.text(), as_json)
    typer.echo(f"written to {run.out}; open {run.out / 'sweep.html'}", err=True)
    found.require()


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or cifar10.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for data sets: --data of a run.")] = Path(
        "data"
    ),
) -> None:
    """Fetch a published data set and check its checksums."""
    from mcuprune.tasks.download import download

    typer.echo(f"{name}: {download(name, out)}")


@app.command()
def analyze(
    model: ModelPath,
    board: BoardName = "stm32f4",
    budget: BudgetText = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Input of a PyTorch module, e.g. 3,32,32.")
    ] = None,
    optimize: Annotated[str, typer.Option(help=OPTIMIZE)] = "speed",
    lossless: Lossless = True,
    as_json: Json = False,
) -> None:
    """Does the model fit the board as it is?  Costs per layer and its kernel, without training."""
    limits, shape = parse_budget(budget or ""), parse_shape(input_shape)
    from mcuprune import examine

    analysis = examine.analyze(model, load_board(board), limits, shape, lossless, optimize)
    _print(analysis, analysis.text(), as_json)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A .tflite, .onnx or Keras file, int8 or float.")],
    board: BoardName = "stm32f4",
    out: Out = Path("exported"),
    data: Annotated[
        str | None,
        typer.Option(help="Inputs as a float model takes them, to quantize it with: .npz, .npy, file.py:f."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C symbols.")] = None,
    optimize: Annotated[str, typer.Option(help=OPTIMIZE)] = "speed",
    toolchain: Annotated[str, typer.Option(help="zig (pinned, from pip) or gcc.")] = "zig",
    lossless: Lossless = True,
    as_json: Json = False,
) -> None:
    """Turn a trained model into its C package; a float one is quantized after training."""
    found = load_board(board)
    from mcuprune import examine

    exported = examine.export(model, found, out, name, board, toolchain, optimize, data, lossless)
    result = {"out": exported.out, "sizes": exported.deployment.sizes, "quality": exported.quality}
    result["price"] = exported.price
    _print(result, exported.text(), as_json)


@app.command()
def verify(
    directory: RunFolder,
    inputs: Annotated[int, typer.Option("--inputs", "-n", min=1, help="Number of inputs.")] = 200,
    profile: Annotated[bool, typer.Option("--profile", help="Cycles per layer.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that specification, TensorFlow Lite Micro, host C and firmware agree byte for byte."""
    from mcuprune import examine

    found = examine.verify(directory, inputs=inputs, profile=profile)
    result = {"comparisons": found.proof.comparisons, "profile": found.profile, "latency": found.latency}
    _print(result, found.text(), as_json)


@app.command()
def check(
    target: Annotated[Path, typer.Argument(help="Run folder, or the ELF file of your own firmware.")],
    budget: BudgetText = None,
    board: Annotated[str | None, typer.Option("--board", "-b", help="Of an ELF file.")] = None,
    name: Annotated[str | None, typer.Option(help="Which model, where an ELF file holds several.")] = None,
    package: Annotated[
        Path | None, typer.Option(help="The model's run folder: an ELF file's outputs are compared with it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model in its run folder, or in your own firmware, against the budget: a gate for CI."""
    limits = parse_budget(budget) if budget else None
    from mcuprune import check as checks

    result = checks.check(target, limits, board, name, package)
    _print(result, result.text(), as_json)
    result.require()


@app.command()
def report(directory: RunFolder, as_json: Json = False) -> None:
    """Show a run's report again, and write its report.html anew."""
    from mcuprune.report.folder import read_report, rewrite_html

    _print_report(*read_report(directory), as_json)
    rewrite_html(directory)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Run folder or report.json.")],
    new: Annotated[Path, typer.Argument(help="Run folder or report.json.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request's comment.")] = False,
    as_json: Json = False,
) -> None:
    """What changed from one run to another: bytes, cycles, accuracy, layers."""
    from mcuprune.report.diff import as_markdown, as_text, changed
    from mcuprune.report.folder import read_report

    (before, _), (after, _) = read_report(old), read_report(new)
    text = (as_markdown if markdown else as_text)(before, after)
    _print(changed(before, after), text, as_json)


@app.command()
def methods(as_json: Json = False) -> None:
    """The pruning methods and how budgets bind them: papers and options."""
    entries = listing.methods()
    _print(entries, listing.methods_text(entries), as_json)


@app.command()
def ops(as_json: Json = False) -> None:
    """The supported layers, with the C kernels of each."""
    entries = listing.ops()
    _print(entries, listing.ops_text(entries), as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """What a run needs, and whether it is installed; exit code 7 if something required is missing."""
    from mcuprune.doctor import examine, missing

    findings = examine()
    _print(findings, listing.doctor_text(findings), as_json)
    if lacking := missing(findings):
        raise ToolchainError(f"missing: {', '.join(f.name for f in lacking)}; {lacking[0].install}")


@boards_app.callback()
def boards(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        boards_list(as_json)


@boards_app.command("list")
def boards_list(as_json: Json = False) -> None:
    """All boards with their memories and default budgets."""
    entries = listing.boards()
    _print(entries, listing.boards_text(entries), as_json)


@boards_app.command("show")
def boards_show(board: Annotated[str, typer.Argument(help="Name or file.")], as_json: Json = False) -> None:
    """One board: memory map, what is reserved for the application, and the source of every number."""
    found = load_board(board)
    _print(found, listing.board_text(found), as_json)


@boards_app.command("check")
def boards_check(file: Annotated[Path, typer.Argument(help="Board file.")], as_json: Json = False) -> None:
    """Check a board file of your own."""
    found = load_board(file if file.suffix == ".toml" else f"{file}.toml")
    _print(found, f"{file}: a valid board, {found.title}", as_json)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Both options act before any verb: ``--version`` in its callback, ``--debug`` in :func:`main`."""


def main() -> None:
    """The ``mcuprune`` program; exit codes: 0 ok, 1 internal error, 2 to 7 as in :mod:`mcuprune.errors`."""
    # Waiting threads sleep: spinning ones would take the cores from whoever has work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    debug = "--debug" in sys.argv
    try:
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except McupruneError as error:
        if debug:
            traceback.print_exc()
        _leave(f"mcuprune: {error}", error.exit_code)
    except SystemExit as leaving:
        if leaving.code == 130:
            hint = "; the same command with --resume continues" if "compress" in sys.argv else ""
            _leave(f"mcuprune: interrupted{hint}", 130)
        raise
    except Exception as error:
        if debug:
            traceback.print_exc()
        _leave(f"mcuprune: internal error: {type(error).__name__}: {error} (--debug shows where)", 1)


def _leave(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)
