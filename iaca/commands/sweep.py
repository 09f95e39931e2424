"""``iaca sweep``: a grid of model x data x seed, or a random search beside it, and its table."""

import re
from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from iaca.base.devices import Device
from iaca.base.files import DataError, check_one_of, check_output, write_text
from iaca.commands.sweep_table import ARM_OPTIONS, as_read, best_cells, cells_of, render, table
from iaca.learning.protocol import PROTOCOLS, RELEASED_RATE
from iaca.models.regressor import ModelConfig
from iaca.runs.profiles import Profile, at_share, folds_of, get_profile, training_on
from iaca.runs.ray_cluster import RayOptions
from iaca.runs.runs import Run, RunConfig, RunError, with_options
from iaca.runs.scheduler import execute_runs, report_missing
from iaca.runs.search import Choice, Distribution, Range, draw
from iaca.runs.shards import Shard, finished_of_all
from iaca.sources.manifest import load_manifest

Options: TypeAlias = dict[str, Any]  # section.field -> value

_FIELDS = {
    f"{section}.{name}": annotation
    for section, kind in get_type_hints(RunConfig).items()
    if section != "seed"
    for name, annotation in get_type_hints(kind).items()
    if name != "fold"  # all of them are run
}
# Options of the command line -> what they set.
_NAMED = {
    "manifest": "data.manifest",
    "share": "data.share",
    "attention": "model.attention",
    "precision": "training.precision",
}
_PROTOCOLS = {
    name: {f"protocol.{switch}": value for switch, value in asdict(protocol).items()}
    for name, protocol in PROTOCOLS.items()
}
_RATE = "training.learning_rate"
_RANGE = re.compile(r"(log:)?(.+)\.\.(.+)")


@dataclass(frozen=True)
class Request:
    """What the command line asks for; ``None`` leaves a choice to the profile or `RunConfig`."""

    profile: str = "quick"
    attention: Sequence[str] | None = None
    arm: Sequence[str] | None = None
    share: Sequence[float] | None = None
    manifest: Sequence[str] = ("synthetic",)
    seeds: Sequence[int] | None = None
    protocol: Sequence[str] = ("strict",)
    precision: Sequence[str] | None = None
    set: Sequence[str] = ()
    random: int | None = None
    random_seed: int = 0


def sweep(
    request: Request,
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    cluster: RayOptions | None = None,
    reuse_stale: bool = False,
    csv: Path | None = None,
    dry_run: bool = False,
    shard: Shard | None = None,
    report: Callable[[str], None] = print,
) -> int:
    """Make a grid's runs and report its table. Returns 1 if some runs failed, else 0.

    With ``shard``, only that part is made; the table follows if all others are there already.

    Raises:
        DataError: naming the option or key, what was found and what was expected.
    """
    if csv is not None:
        check_output(csv)
    _searched(request)  # or the error says what is wrong with it
    manifests, output_dir = resolve_manifests(request.manifest, output_dir)
    configs = grid_of(replace(request, manifest=manifests), output_dir)
    released = [run for run in configs if run.training.learning_rate == RELEASED_RATE]
    if any(run.protocol.learning_rate == "jump" for run in released):
        report(
            f"learning rate: {RELEASED_RATE:g}, as released, in runs whose protocol lets it jump; "
            f"another with --set {_RATE}=NUMBER"
        )
    part = configs if shard is None else shard.of(configs)
    if dry_run:
        report_missing(part, output_dir, device, reuse_stale, report)
        return 0
    failed: Mapping[RunConfig, str] = {}
    try:
        runs = execute_runs(
            part, output_dir, jobs, device, report, cluster=cluster, reuse_stale=reuse_stale
        )
    except RunError as error:
        report(f"{error}\n")
        runs, failed = error.done, error.failed
    if shard is not None:
        then = "once all are, the same command without --shard prints the table"
        runs = finished_of_all(configs, output_dir, device, reuse_stale, then, report)
        if len(runs) < len(configs):
            return 1 if failed else 0
    _show(request, configs, runs, output_dir, csv, report)
    return 1 if failed else 0


def _show(
    request: Request,
    configs: Sequence[RunConfig],
    runs: Mapping[RunConfig, Run],
    output_dir: Path,
    csv: Path | None,
    report: Callable[[str], None],
) -> None:
    """Write the table if asked to, then report it, the best draws and the best run."""
    searched = _searched(request)
    rows = table(cells_of(configs), runs, output_dir, searched)
    if csv is not None:
        write_text(csv, rows.to_csv(index=False))
    report(render(rows))
    if searched:
        chosen = table(best_cells(configs, runs, searched), runs, output_dir, searched)
        report(f"\nOf {request.random} draws, the best on select:\n{render(chosen)}")
    if runs:
        best = max(runs.values(), key=lambda run: run.on_select)
        report(f"\nThe run that is best on select, say for `iaca predict`: {best.folder}")


def resolve_manifests(names: Sequence[str], output_dir: Path) -> tuple[list[str], Path]:
    """Make manifests' paths absolute, and put the output below ``private`` if one is gated.

    Raises:
        DataError: if there is no such manifest, or it is malformed.
    """
    paths = {".yaml", ".yml"}
    names = [str(Path(name).resolve()) if Path(name).suffix in paths else name for name in names]
    gated = any(load_manifest(name).access == "gated" for name in names)
    if gated and output_dir.name != "private":
        output_dir = output_dir / "private"
    return names, output_dir


def grid_of(request: Request, output_dir: Path) -> list[RunConfig]:
    """All runs of a grid: every combination of data, model, training and seed.

    Combinations that differ in nothing that is read are one: plain models at two temperatures.
    Where a protocol lets the learning rate jump, and no rate is asked for, it is `RELEASED_RATE`
    up to the jump: from the book's own rate the jump would be a fall.

    Raises:
        DataError: see `sweep`.
    """
    profile = get_profile(request.profile, request.seeds)
    space = _space(request)
    if request.random is None:
        listed = [values.values for values in space.values() if isinstance(values, Choice)]
        settings = [dict(zip(space, values, strict=True)) for values in product(*listed)]
    else:
        settings = draw(space, request.random, request.random_seed)
    named = [
        [{key: _typed(key, str(value))} for value in values]
        for name, key in _NAMED.items()
        if (values := getattr(request, name)) is not None
    ]
    protocols = _known("--protocol", request.protocol, _PROTOCOLS)
    arms = _known("--arm", request.arm or [*ARM_OPTIONS], ARM_OPTIONS)
    if request.arm is None and any(key in space for key in ARM_OPTIONS["zero"]):
        arms = [{}]
    grid = product(settings, *named, protocols, arms)
    # Of what sets the same field the first counts: a switch goes before its protocol.
    runs = [run for axes in grid for run in _runs_at(profile, ChainMap(*axes), output_dir)]
    return list(dict.fromkeys(runs))


def _known(option: str, names: Sequence[str], known: Mapping[str, Options]) -> list[Options]:
    """What the names that an option was given stand for."""
    for name in names:
        check_one_of(option, name, known)
    return [known[name] for name in names]


def _runs_at(profile: Profile, options: Mapping[str, Any], output_dir: Path) -> list[RunConfig]:
    """A run for each fold and seed, at one value of each option."""
    config = with_options(RunConfig(model=ModelConfig(dim=profile.dim)), options)
    data = replace(config.data, share=None)
    if config.data.share is not None:
        data = at_share(data, config.data.share)
    training = training_on(profile, data)
    if config.protocol.learning_rate == "jump":
        training = replace(training, learning_rate=RELEASED_RATE)
    own = {key: value for key, value in options.items() if key.startswith("training.")}
    config = as_read(with_options(replace(config, training=training), own))
    return [
        replace(config, data=fold, seed=seed)
        for fold, seed in product(folds_of(data, output_dir), profile.seeds)
    ]


def _space(request: Request) -> dict[str, Distribution]:
    """Key -> its values in ``--set``, or the range that they are drawn from."""
    own = [key for name, key in _NAMED.items() if getattr(request, name) is not None]
    own += [] if request.arm is None else ARM_OPTIONS["zero"]
    count = Counter([text.partition("=")[0] for text in request.set] + own)
    for key in count:
        if count[key] > 1:
            raise DataError(f"--set {key}: given twice, here or as an option of its own")
    space = dict(map(_parse_setting, request.set))
    for key, values in space.items():
        if request.random is None and isinstance(values, Range):
            raise DataError(f"--set {key}={values}: expected --random N beside a range")
    return space


def _searched(request: Request) -> list[str]:
    """The keys that ``--random`` draws: those with several values; none without it."""
    if request.random is None:
        return []
    space = _space(request)
    searched = [key for key, values in space.items() if values != Choice((values.at(0),))]
    for key in searched:
        if key.startswith("data."):
            expected = "expected one value, since draws are compared on the same data"
            raise DataError(f"--random, --set {key}={space[key]}: {expected}")
    if not searched:
        example = f"--set {_RATE}=log:5e-4..8e-3"
        raise DataError(f"--random {request.random}: expected something to draw, say {example}")
    return searched


def _parse_setting(text: str) -> tuple[str, Distribution]:
    """``section.field=value,value`` or ``=low..high`` -> its key, values of the field's type."""
    key, _, values = text.partition("=")
    section, *_ = key.split(".")
    check_one_of("--set", key, [k for k in _FIELDS if k.startswith(f"{section}.")] or _FIELDS)
    ends = _RANGE.fullmatch(values)
    if ends is None or float not in (_FIELDS[key], *get_args(_FIELDS[key])):
        return key, Choice(tuple(dict.fromkeys(_typed(key, value) for value in values.split(","))))
    low, high = (_typed(_RATE, end) for end in ends.groups()[1:])
    try:
        return key, Range(low, high, log=ends[1] is not None)
    except DataError as error:
        raise DataError(f"--set {key}: found {error}") from error


def _typed(key: str, text: str) -> Any:
    """A text as a value of a field; ``none`` where that may be None."""
    if text == "none" and NoneType in get_args(_FIELDS[key]):
        return None
    kind: TypeAdapter[Any] = TypeAdapter(_FIELDS[key], config=ConfigDict(allow_inf_nan=False))
    try:
        return kind.validate_strings(text)
    except ValidationError as error:
        expected = error.errors()[0]["msg"]
        raise DataError(f"{key}: found {text!r}; {expected}") from error
