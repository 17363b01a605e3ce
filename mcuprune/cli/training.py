"""Verbs that train: one run, a family of budgets, a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcuprune.budget import EXAMPLE
from mcuprune.cli.options import OPTIMIZE, Json, given_budget, show, show_report
from mcuprune.config import RunConfig, load_config
from mcuprune.progress import open_progress

if TYPE_CHECKING:
    from mcuprune.report.model import Report, Times

DEFAULT = load_config()

# The groups of `compress --help`.
DATA, TARGETS, METHOD, FORM, TRAINING, RUN = (
    "Data and name",
    "Target and budgets",
    "Compression",
    "Form of the network, chosen before its widths",
    "Training",
    "Run",
)
MODEL = (
    "file.py:Net, a float .onnx, .tflite or Keras file, an image to be stored as a network, or a built-in "
    "NAME[:OPTION=VALUE,...]; without one: what suits the data."
)


def compress(
    model: Annotated[str | None, typer.Argument(help=MODEL)] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Built-in data; TASK/FOLD where they have folds.", rich_help_panel=DATA),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of images, .wav or .csv files, .npz, or file.py:function; with --task: where its "
            "files are.",
            rich_help_panel=DATA,
        ),
    ] = None,
    more_data: Annotated[
        str | None,
        typer.Option(
            help="Folder CLASS/*.wav: further recordings of an audio task, other voices, which only train.",
            rich_help_panel=DATA,
        ),
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(
            "--board",
            "-b",
            help="Board name, family or .toml file, see `mcuprune boards`; several: a sweep. "
            f"(default: {DEFAULT.board})",
            rich_help_panel=TARGETS,
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help=f"E.g. {EXAMPLE}; what is left out is the board's limit. Several, loose to tight: all from "
            "one run.",
            callback=given_budget,
            rich_help_panel=TARGETS,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help=f"NAME[:OPTION=VALUE,...], see `mcuprune methods`. (default: {DEFAULT.method})",
            rich_help_panel=METHOD,
        ),
    ] = None,
    binding: Annotated[
        str | None,
        typer.Option(
            help="How budgets bind while training: pi, lagrangian, augmented or penalty. (default: the "
            "method's own)",
            rich_help_panel=METHOD,
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH",
            help="Least and most widths to try, as multiples of those of uniform scaling. (default: the "
            "task's)",
            rich_help_panel=METHOD,
        ),
    ] = None,
    distill: Annotated[
        float | None,
        typer.Option(
            help="Share of the loss, 0 to 1, that is the distance to the dense network's outputs. "
            f"(default: {DEFAULT.distill:g})",
            rich_help_panel=METHOD,
        ),
    ] = None,
    inputs: Annotated[
        int | None,
        typer.Option(
            help="Read only so many channels (sensors, features), the best ones.", rich_help_panel=FORM
        ),
    ] = None,
    input_axis: Annotated[
        str | None,
        typer.Option(
            help="What --inputs counts: channels (default), or columns (coefficients of a spectrogram).",
            rich_help_panel=FORM,
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Average images down to so many rows.", rich_help_panel=FORM)
    ] = None,
    drop_blocks: Annotated[
        bool | None,
        typer.Option(
            "--drop-blocks/--keep-layers",
            help="Leave out residual blocks too that are not needed; or nothing. "
            "(default: layers in a row that keep the shape)",
            rich_help_panel=FORM,
        ),
    ] = None,
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            help="Least score of the int8 network, e.g. 0.9; below it, exit code 5.", rich_help_panel=TARGETS
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Of each network, all phases together. (default: the task's)", rich_help_panel=TRAINING
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Training samples per step. (default: the task's)", rich_help_panel=TRAINING),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help=f"adamw, sgd, or auto: sgd for a network with batch norms. (default: {DEFAULT.optimizer})",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The largest of its schedule. (default: the task's and the optimizer's)",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help=f"Same seed, same bytes. (default: {DEFAULT.seed})", rich_help_panel=DATA),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help=f"Where training computes: auto, cpu or cuda. (default: {DEFAULT.device})",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="How training inputs are changed in every batch: task, none, flip or crop_and_flip for "
            "images, worn (accelerometers) or drawn (strokes) for motion, voices for words. "
            f"(default: {DEFAULT.augment})",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help=f"Of training: auto, float32 or bf16. (default: {DEFAULT.precision})",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Prefix of the C symbols. (default: the model's name)", rich_help_panel=DATA),
    ] = None,
    controls: Annotated[
        bool | None,
        typer.Option(
            "--controls/--no-controls",
            help="Also train what the result is compared with: dense, uniform, scratch, magnitude. "
            "(default: they are)",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    all_controls: Annotated[
        bool | None,
        typer.Option(
            "--all-controls",
            help="And the costly ones: from scratch for the same computation, cut by chance.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    optimize: Annotated[
        str | None,
        typer.Option(
            help=f"fit (the fastest that cost no channels), {OPTIMIZE} (default: {DEFAULT.optimize})",
            rich_help_panel=TARGETS,
        ),
    ] = None,
    toolchain: Annotated[
        str | None,
        typer.Option(
            help=f"zig (pinned, from pip) or gcc. (default: {DEFAULT.toolchain})", rich_help_panel=TARGETS
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help=f"Folder to write. (default: {DEFAULT.out})", rich_help_panel=RUN),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="TOML, such as a run's run.toml; flags override it.", rich_help_panel=RUN
        ),
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
        _sweep(run, {"boards": tuple(board)}, None, "local", as_json)
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
            show_report(found, times, as_json)
            typer.echo(f"written to {run.out}; open {run.out / 'report.html'}", err=True)


def _family(run: RunConfig, as_json: bool) -> None:
    from mcuprune import family

    def finished(found: Report, times: Times, folder: Path) -> None:
        if not as_json:
            show_report(found, times, as_json)
            typer.echo(f"written to {folder}; open {folder / 'report.html'}", err=True)

    with open_progress(quiet=as_json) as progress:
        found = family.compress_family(run, progress, finished)
    show({"rows": found.rows}, found.text(), as_json)
    typer.echo(f"written to {run.out}; open {run.out / 'sweep.html'}", err=True)
    found.require_all()


def sweep(
    model: Annotated[str | None, typer.Argument(help="As for `compress`.")] = None,
    task: Annotated[str | None, typer.Option(help="As for `compress`.")] = None,
    data: Annotated[str | None, typer.Option(help="As for `compress`.")] = None,
    board: Annotated[list[str] | None, typer.Option("--board", "-b", help="Repeat for several.")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(help=f"Repeat for several, e.g. {EXAMPLE}", callback=given_budget)
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Training epochs of a run.")] = None,
    controls: Annotated[
        bool | None,
        typer.Option(
            "--controls/--no-controls",
            help="As for `compress`. (default: what --config says, else none)",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            help="Runs at the same time, each with its own memory. (default: one per core)",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Where runs are made: local, or dask[:ADDRESS] or ray[:ADDRESS] of a cluster whose workers "
            "share this folder; without ADDRESS one is started here."
        ),
    ] = "local",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder with a folder per run. (default: runs/sweep)"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="TOML of what all runs share: anything that `compress` takes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Several boards, budgets, methods and seeds; repeat the command to continue where it stopped."""
    compared = bool(controls) if config is None else controls
    shared = {"model": model, "task": task, "data": data, "epochs": epochs, "controls": compared, "out": out}
    grid = {"boards": board, "budgets": budget, "methods": method, "seeds": seed}
    parts = {key: tuple(value or ()) for key, value in grid.items()}
    run = load_config(config, shared)
    if "out" not in run.model_fields_set:
        run = run.model_copy(update={"out": Path("runs/sweep")})
    _sweep(run, parts, jobs, engine, as_json)


def _sweep(run: RunConfig, grid: dict[str, tuple], jobs: int | None, engine: str, as_json: bool) -> None:
    from mcuprune import sweep as sweeps

    if run.family:  # budgets of one run become those of several
        grid = {**grid, "budgets": grid.get("budgets") or tuple(map(str, run.family))}
        run = run.model_copy(update={"family": ()})
    found = sweeps.sweep(run, sweeps.Grid(**grid), jobs, engine, lambda line: typer.echo(line, err=True))
    show({"rows": found.rows}, found.text(), as_json)
    typer.echo(f"written to {run.out}; open {run.out / 'sweep.html'}", err=True)
    found.require()
