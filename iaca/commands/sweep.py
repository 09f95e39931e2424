"""``iaca sweep``: a grid of model x data x seed, or a random search beside it, and its table."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from iaca.base.devices import Device
from iaca.base.files import DataError, check_one_of, write_text
from iaca.commands.sweep_table import ARM_OPTIONS, as_read, best_cells, cells_of, render, table
from iaca.learning.config import Precision
from iaca.learning.protocol import PROTOCOLS, RELEASED_RATE
from iaca.models.regressor import AttentionName, ModelConfig
from iaca.runs.profiles import Profile, at_share, folds_of, get_profile, training_on
from iaca.runs.ray_cluster import RayOptions
from iaca.runs.runs import RunConfig, RunError
from iaca.runs.scheduler import execute_runs, report_missing
from iaca.runs.search import Choice, Distribution, Range, draw
from iaca.runs.shards import Shard, finished_of_all
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

_SECTIONS = {name: kind for name, kind in get_type_hints(RunConfig).items() if name != "seed"}
_OWN_OPTION = {
    "data.manifest": "--manifest",
    "data.share": "--share",
    "data.fold": "nothing: all folds are run",
    "model.attention": "--attention",
    "training.precision": "--precision",
}
_ARM_KEYS = ("model.fusion", "model.gate_init")
_RATE = "training.learning_rate"
_RANGE = re.compile(r"(log:)?(.+)\.\.(.+)")


@dataclass(frozen=True)
class Request:
    """What the command line asks for; ``None`` leaves a choice to the profile or the arms."""

    profile: str = "quick"
    attention: Sequence[str] = ("ca",)
    arm: Sequence[str] | None = None
    share: Sequence[float] | None = None
    manifest: Sequence[str] = ("synthetic",)
    seeds: Sequence[int] | None = None
    protocol: Sequence[str] = ("strict",)
    precision: Sequence[str] = ("32",)
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
    searched = _searched(request)
    manifests, output_dir = resolve_manifests(request.manifest, output_dir)
    configs = grid_of(replace(request, manifest=manifests), output_dir)
    rate_is_given = any(text.startswith(f"{_RATE}=") for text in request.set)
    if not rate_is_given and any(config.protocol.learning_rate == "jump" for config in configs):
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
    rows = table(cells_of(configs), runs, output_dir, searched)
    report(render(rows))
    if searched:
        best = table(best_cells(configs, runs, searched), runs, output_dir, searched)
        report(f"\nOf {request.random} draws, the best on select:\n{render(best)}")
    if csv is not None:
        write_text(csv, rows.to_csv(index=False))
    return 1 if failed else 0


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
    precisions = _named("--precision", request.precision, get_args(Precision))
    configs: list[RunConfig] = []
    for setting, precision in product(_settings(request), precisions):
        chosen = {**setting, "training.precision": precision}
        configs += _runs_at(request, profile, chosen, output_dir)
    return list(dict.fromkeys(configs))


def _settings(request: Request) -> list[dict[str, Any]]:
    """Values of the keys that ``--set`` names: every combination, or as many as are drawn."""
    space = _space(request)
    if request.random is not None:
        return draw(space, request.random, request.random_seed)
    listed = [values.values for values in space.values() if isinstance(values, Choice)]
    return [dict(zip(space, values, strict=True)) for values in product(*listed)]


def _space(request: Request) -> dict[str, Distribution]:
    """Key -> its values in ``--set``, or the range that they are drawn from."""
    space = dict(_parse_setting(text) for text in request.set)
    if len(space) != len(request.set):
        raise DataError(f"--set {' '.join(request.set)}: a key is given twice")
    if request.random is None:
        for key, values in space.items():
            if isinstance(values, Range):
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


def _runs_at(
    request: Request, profile: Profile, setting: Mapping[str, Any], output_dir: Path
) -> list[RunConfig]:
    """The grid at one value of each key that ``--set`` names."""
    chosen: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, value in setting.items():
        section, name = key.split(".")
        chosen[section][name] = value
    profile = replace(profile, folds=chosen["data"].pop("folds", profile.folds))
    base = ModelConfig(**{"dim": profile.dim, **chosen["model"]})
    attentions = _named("--attention", request.attention, get_args(AttentionName))
    arms = _arms(request.arm, setting)
    models = [replace(base, attention=name, **arm) for name, arm in product(attentions, arms)]
    sets = [DataConfig(name, **chosen["data"]) for name in request.manifest]
    if request.share is not None:
        sets = [at_share(data, share) for data in sets for share in request.share]
    protocols = [
        replace(PROTOCOLS[name], **chosen["protocol"])
        for name in _named("--protocol", request.protocol, PROTOCOLS)
    ]
    configs = []
    for data, protocol in product(sets, protocols):
        rate = {"learning_rate": RELEASED_RATE} if protocol.learning_rate == "jump" else {}
        training = replace(training_on(profile, data), **{**rate, **chosen["training"]})
        folds = folds_of(profile, data, output_dir)
        configs += [
            as_read(RunConfig(fold, model, training, seed, protocol))
            for fold, model, seed in product(folds, models, profile.seeds)
        ]
    return configs


def _arms(names: Sequence[str] | None, setting: Mapping[str, Any]) -> list[dict[str, Any]]:
    taken = [key for key in _ARM_KEYS if key in setting]
    if taken and names is None:
        return [{}]
    if taken:
        raise DataError(f"--set {taken[0]}: --arm sets it, expected one of the two")
    return [ARM_OPTIONS[name] for name in _named("--arm", names or [*ARM_OPTIONS], ARM_OPTIONS)]


def _named(option: str, names: Sequence[str], known: Iterable[str]) -> Sequence[Any]:
    """The names that an option was given, each one of those that are known."""
    for name in names:
        check_one_of(option, name, known)
    return names


def _parse_setting(text: str) -> tuple[str, Distribution]:
    """``section.field=value,value`` or ``=low..high`` -> its key, values of the field's type."""
    key, equals, values = text.partition("=")
    section, _, name = key.partition(".")
    if not equals or section not in _SECTIONS:
        known = ", ".join(_SECTIONS)
        raise DataError(f"--set {text!r}: expected SECTION.FIELD=VALUE[,VALUE], section {known}")
    if key in _OWN_OPTION:
        raise DataError(f"--set {key}: expected {_OWN_OPTION[key]}")
    hints = get_type_hints(_SECTIONS[section])
    if name not in hints:
        raise DataError(f"--set {key}: unknown, {section} has {', '.join(hints)}")
    ends = _RANGE.fullmatch(values)
    if ends is not None and float in (hints[name], *get_args(hints[name])):
        low, high = (_value(key, float, end) for end in ends.groups()[1:])
        try:
            return key, Range(low, high, log=ends[1] is not None)
        except DataError as error:
            raise DataError(f"--set {key}: found {error}") from error
    parsed = [_value(key, hints[name], value) for value in values.split(",")]
    return key, Choice(tuple(dict.fromkeys(parsed)))


def _value(key: str, annotation: Any, text: str) -> Any:
    """A text as a value of an annotated type; ``none`` where that may be None."""
    if text == "none" and NoneType in get_args(annotation):
        return None
    kind: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    try:
        return kind.validate_strings(text)
    except ValidationError as error:
        expected = error.errors()[0]["msg"]
        raise DataError(f"--set {key}: found {text!r}; {expected}") from error
