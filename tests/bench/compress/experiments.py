"""What is compared: tasks, networks, budgets, methods, controls, and the figures to reach."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.tasks.spoken import SPEAKERS

KIB = 1024
DEFAULT_METHOD = "taylor"
GATING = ("taylor", "bernoulli", "hard_concrete", "keep_ratio", "connectivity", "ensemble", "duccio")
ALL_METHODS = (*GATING, "magnitude", "imp")
FEW_METHODS = ("taylor", "bernoulli", "hard_concrete")
SHARED_CONTROLS = ("uniform", "magnitude", "random")  # the same whatever the method
OWN_CONTROLS = ("scratch", "scratch-b")  # of the widths that a method found
ALL_CONTROLS = (*SHARED_CONTROLS, *OWN_CONTROLS)
FITTING = ("cycles", "balanced", "size")  # what kernels are chosen for, the first that leaves enough


@dataclass(frozen=True)
class Reach:
    """What a row should show, in percent and points of the int8 network; ``source`` of the figure in words.

    ``dense_gap``: at most so many points below the dense network.  ``compared``: no demand, a figure whose
    distance is told.
    """

    at_least: float | None = None
    dense_gap: float | None = None
    compared: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Bound:
    """A budget: a share of the dense network's flash (or of what ``of`` names), or limits by resource.

    Resources are those of ResourceModel (bytes, MACs, cycles), of :mod:`tests.bench.compress.resources`, or
    densities.  ``tied``: a density, and another that counts the same channels, whose limit holds for both.
    """

    name: str
    share: float | None = None
    of: str = "flash"
    limits: tuple[tuple[str, float], ...] = ()
    tied: tuple[tuple[str, str], ...] = ()
    reach: Reach = Reach()

    def holds(self, resource: str) -> float:
        """The limit that binds ``resource``: its own, or the tighter one of what it is tied to."""
        limits, other = dict(self.limits), dict(self.tied).get(resource, resource)
        return min(limits[resource], limits[other])


@dataclass(frozen=True)
class Experiment:
    """``seeds`` or ``folds`` pair the comparison; ``repeats``: of all folds, with other seeds.

    ``pooled``: correct answers are counted over all folds.  ``drop_blocks`` as in RunConfig: what layers a
    method may leave out before it begins; False where there are none to choose from.  ``more``: the folder of
    further recordings that only train, below that of the data sets.
    """

    name: str
    title: str
    task: str
    bounds: tuple[Bound, ...]
    model: str | None = None  # None: the task's own
    methods: tuple[str, ...] = FEW_METHODS
    controls: tuple[str, ...] = ALL_CONTROLS
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    folds: tuple[str, ...] = ()
    repeats: int = 1
    epochs: int | None = None  # None: the task's recipe
    distill: float = 0.0
    augment: str = "task"
    more: str | None = None
    drop_blocks: bool | None = False
    binding: str | None = None
    objectives: tuple[str, ...] = FITTING
    pooled: bool = False
    note: str = ""


def shares(*parts: int, of: str = "flash", reach: Reach | None = None) -> tuple[Bound, ...]:
    """``1/part`` each of what the dense network takes, to which ``reach`` applies."""
    where = "" if of == "flash" else f" of {of}"
    return tuple(Bound(f"1/{part}{where}", 1 / part, of, reach=reach or Reach()) for part in parts)


def newer(networks: str) -> str:
    return (
        f"The dense network, {networks} were trained with 5 % of the steps in int8 and spare "
        "channels (`docs/explain/compression.md`, One run and Speed), on a processor without AVX-512; the "
        "others before that, with 10 % and on another one, so their times are not compared."
    )


def layers(**densities: float) -> tuple[tuple[str, float], ...]:
    return tuple((f"density:{layer}", share) for layer, share in densities.items())


DENSITY = (
    "Density is the share of stored weights that is left of the model, as exported: inputs and outputs that "
    "are gone both count, where the paper counts gates alone. Of a layer it is the share that its own gates "
    "leave, as in the paper, outputs of convolutions and inputs of linear layers; inputs of the network are "
    "not gated, so the first linear layer of a perceptron is counted by its outputs."
)
EXACT = "The limit on constants covers weights, biases, multipliers, tables and structs of the generated C; "
DENSE_GAP = Reach(dense_gap=1.0)
FIVE = ("0", "1", "2", "3", "4")

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "demo",
        "Demonstration: real digits, synthetic scenes",
        "digits-scenes",
        (
            Bound("6 KB", limits=(("flash", 6 * KIB), ("ram", 8 * KIB), ("macs", 400e3))),
            Bound("15 KB", limits=(("flash", 15 * KIB), ("ram", 20 * KIB), ("macs", 1e6))),
        ),
        methods=ALL_METHODS,
        note=newer("`taylor` and all controls"),
    ),
    Experiment(
        "har",
        "Human activities by accelerometer",
        "har",
        shares(2, 4, 6),
        methods=ALL_METHODS,
        folds=FIVE,
        repeats=3,
        note="Folds hold out whole recordings; each is run three times, as two runs of one differ by points. "
        "Most of a step of this network is what calling operators costs, and fewer channels save little of "
        "that: hence ratios of times near 1. " + newer("all methods, `scratch` and `scratch-b`"),
    ),
    Experiment(
        "wand",
        "Digits drawn with a wand",
        "wand",
        shares(2, 4, 6),
        methods=ALL_METHODS,
        folds=FIVE,
        repeats=3,
        note="As for the accelerometer, a step of this network is mostly overhead. "
        + newer("`taylor`, `scratch` and `scratch-b`"),
    ),
    Experiment(
        "anomaly",
        "Sounds of toy cars, sane and broken (area under the curve)",
        "anomaly",
        shares(4, 16, 32),
        methods=ALL_METHODS,
        drop_blocks=None,
    ),
    Experiment(
        "spoken",
        "Spoken digits, speakers that were never heard",
        "spoken-digits",
        (
            *shares(4, 8, of="constants", reach=DENSE_GAP),
            *shares(16, of="constants"),
        ),
        model="ds_cnn",
        methods=ALL_METHODS,
        folds=SPEAKERS,
        repeats=3,
        drop_blocks=None,
        pooled=True,
        note="Each fold tests one of six speakers; correct answers are pooled over all 3,000 recordings. "
        "Seeds differ by up to 8 points on one speaker, so all folds are repeated (`+1`, `+2`), with methods "
        "other than `taylor` not yet; curves of those are means over other folds than its. They had 6,951, "
        "3,475 and 1,738 bytes, `taylor` and the controls 6,160, 3,080 and 1,540: the same shares of a dense "
        "network whose channels share a multiplier. "
        "The limit is on constants: a sixteenth of the whole flash is less than the smallest kernels take.",
    ),
    Experiment(
        "voices",
        "Spoken digits, speakers that were never heard, with 22 more in the training set",
        "spoken-digits",
        (
            *shares(4, 8, of="constants", reach=DENSE_GAP),
            *shares(16, of="constants"),
        ),
        model="ds_cnn",
        methods=(DEFAULT_METHOD,),
        folds=SPEAKERS,
        repeats=2,
        more="speech_commands_v0.01",
        drop_blocks=None,
        pooled=True,
        note="As before, with `--more-data`: ten recordings of each digit from Speech Commands (Warden "
        "2018), 22 people in all, train with those of five speakers; the sixth is tested.",
    ),
    Experiment(
        "mnist-mlp",
        "MNIST, MLP 784-300-100: published densities",
        "mnist",
        (
            Bound(
                "model 0.33",
                limits=(("density", 0.33),),
                reach=Reach(at_least=100 - 1.77 - 0.15, source="error 1.77 % published, 0.15 more allowed"),
            ),
            Bound(
                "layers 0.30",
                limits=layers(hidden_0=0.3, hidden_1=0.3, head=0.3),
                reach=Reach(at_least=100 - 2.19 - 0.15, source="error 2.19 % published, 0.15 more allowed"),
            ),
        ),
        model="mlp:hidden=300/100",
        epochs=20,
        binding="lagrangian:rate=1",
        methods=("hard_concrete", "bernoulli", "taylor"),
        note=DENSITY,
    ),
    Experiment(
        "mnist-lenet",
        "MNIST, LeNet-5 20-50-500: published densities",
        "mnist",
        (
            Bound(
                "model 0.10",
                limits=(("density", 0.10),),
                reach=Reach(at_least=100 - 1.01 - 0.15, source="error 1.01 % published, 0.15 more allowed"),
            ),
            Bound(
                "layers 0.5/0.3/0.7/0.1",
                limits=layers(conv1=0.5, conv2=0.3, hidden=0.7, head=0.1),
                tied=(("density:hidden", "density:conv2"),),
                reach=Reach(at_least=100 - 0.91 - 0.15, source="error 0.91 % published, 0.15 more allowed"),
            ),
        ),
        model="lenet",
        epochs=12,
        binding="lagrangian:rate=1",
        methods=("hard_concrete", "bernoulli", "taylor"),
        note=DENSITY
        + " The hidden layer reads what the second convolution makes, so of its published limit, 0.7, "
        "a gate of a whole channel can use the 0.3 of that convolution; the paper gates every input alone.",
    ),
    Experiment(
        "mnist-2.77K",
        "MNIST in 2.77 KB of weights and 1.96 KB of RAM",
        "mnist",
        (
            Bound(
                "2.77 KB, 1.96 KB",
                limits=(("constants", 2.77 * KIB), ("arena", 1.96 * KIB)),
                reach=Reach(at_least=98.64, source="SpArSe"),
            ),
        ),
        model="pool_cnn",
        epochs=30,
        objectives=("ram",),
        note=EXACT + "RAM is the arena, input included, as that paper counts activations.",
    ),
    Experiment(
        "fashion-lenet",
        "Fashion-MNIST, LeNet-5",
        "fashion-mnist",
        shares(8, 32),
        model="lenet",
        epochs=8,
    ),
    Experiment(
        "fashion", "Fashion-MNIST, residual and separable", "fashion-mnist", shares(4, 16), seeds=(0, 1, 2)
    ),
    Experiment(
        "cifar-96k",
        "CIFAR-10 in 96 KB of weights, 48 KB of RAM, 12.5 M MACs",
        "cifar10",
        (
            Bound(
                "96 KB, 48 KB, 12.5 M",
                limits=(("constants", 96 * KIB), ("ram", 48 * KIB), ("macs", 12.5e6)),
                reach=Reach(at_least=87.0, source="the MLPerf Tiny reference"),
            ),
        ),
        model="small_resnet:width=32",
        epochs=40,
        seeds=(0, 1, 2),
        note=EXACT + "RAM is arena and stack. `taylor` with seeds 0 and 1 was trained before the race of "
        "widths was removed (docs/explain/compression.md).",
    ),
    Experiment(
        "cifar-11k",
        "CIFAR-10 in 11.4 KB of weights, 15.4 KB of RAM, 384 K MACs",
        "cifar10",
        (
            Bound(
                "11.4 KB, 15.4 KB, 384 K",
                limits=(("constants", 11.4 * KIB), ("arena", 15.4 * KIB), ("macs", 384e3)),
                reach=Reach(compared=86.49, source="uNAS, thousands of search rounds"),
            ),
        ),
        model="small_mobilenet",
        epochs=40,
        seeds=(0, 1, 2),
        drop_blocks=None,
        note=EXACT
        + "RAM is the arena with the input in it, which that paper leaves out. An epoch of the dense "
        "network takes 20 s, forty would take 790; those of `taylor` took 434 to 469.",
    ),
    Experiment(
        "cifar-256k",
        "CIFAR-10 in 256 KB of weights",
        "cifar10",
        (
            Bound(
                "256 KB",
                limits=(("constants", 256 * KIB),),
                reach=Reach(compared=91.98, source="Liberis & Lane"),
            ),
        ),
        model="small_resnet:width=48",
        epochs=20,
        seeds=(0, 1, 2),
        note=EXACT.rstrip("; ")
        + ". An epoch of the dense network takes 100 s, twenty would take 2,000; those "
        "of `taylor` took 1,467 to 1,522. The published schedule is longer; with a GPU: "
        '`make bench-compress ARGS="--only cifar-256k --epochs 300 --results docs/results/cifar-256k-full"`.',
    ),
)
