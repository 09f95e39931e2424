"""``iaca sweep``: a grid of model x data x seed, made by `iaca.runs.scheduler`, and its table."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from companion.experiments.book_runs import book_runs
from iaca.base.files import DataError, write_text
from iaca.commands.sweep_table import ARM_NAMES, as_read, render, table
from iaca.learning.loop import Device, TrainingConfig
from iaca.learning.protocol import PROTOCOLS, RELEASED_RATE, Protocol
from iaca.models.regressor import ModelConfig
from iaca.runs.arms import ARMS
from iaca.runs.profiles import Profile, at_share, folds_of, get_profile, training_on
from iaca.runs.runs import RunConfig, RunError, describe, find_run
from iaca.runs.scheduler import RayOptions, execute_runs
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

_SECTIONS = {
    "data": DataConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "protocol": Protocol,
}
_OWN_OPTION = {
    "data.manifest": "--manifest",
    "data.share": "--share",
    "data.fold": "nothing: all folds are run",
    "model.attention": "--attention",
}
_ARM_KEYS = ("model.fusion", "model.gate_init")
_RATE = "training.learning_rate"


@dataclass(frozen=True)
class Request:
    """What the command line asks for; ``None`` leaves a choice to the profile or the defaults."""

    profile: str = "quick"
    attention: Sequence[str] | None = None
    arm: Sequence[str] | None = None
    share: Sequence[float] | None = None
    manifest: Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    protocol: Sequence[str] | None = None
    set: Sequence[str] = ()
    book: bool = False


def sweep(
    request: Request,
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    engine: Literal["processes"] | RayOptions = "processes",
    reuse_stale: bool = False,
    csv: Path | None = None,
    dry_run: bool = False,
    report: Callable[[str], None] = print,
) -> int:
    """Make a grid's runs and report its table. Returns 1 if some runs failed, else 0.

    Raises:
        DataError: naming the option or key, what was found and what was expected.
    """
    manifests = [_absolute(name) for name in request.manifest or ["synthetic"]]
    gated = any(load_manifest(name).access == "gated" for name in manifests)
    if gated and output_dir.name != "private":
        output_dir = output_dir / "private"
    request = replace(request, manifest=manifests)
    configs = list(dict.fromkeys(grid_of(request, output_dir)))
    if not _rate_is_given(request) and any(_jumps(config.protocol) for config in configs):
        report(
            f"learning rate: {RELEASED_RATE:g}, as released, in runs whose protocol lets it jump; "
            f"another with --set {_RATE}=NUMBER"
        )
    if dry_run:
        missing = [c for c in configs if find_run(c, output_dir, device, reuse_stale) is None]
        for config in missing:
            report(describe(config))
        report(f"runs: {len(missing)} of {len(configs)} would be made")
        return 0
    failed: Mapping[RunConfig, str] = {}
    try:
        runs = execute_runs(
            configs, output_dir, jobs, device, report, engine=engine, reuse_stale=reuse_stale
        )
    except RunError as error:
        report(f"{error}\n")
        runs, failed = error.done, error.failed
    rows = table(configs, runs, output_dir)
    report(render(rows))
    if csv is not None:
        write_text(csv, rows.to_csv(index=False))
    return 1 if failed else 0


def _jumps(protocol: Protocol) -> bool:
    return protocol.learning_rate == "jump"


def _rate_is_given(request: Request) -> bool:
    return any(text.partition("=")[0] == _RATE for text in request.set)


def _absolute(manifest: str) -> str:
    is_file = Path(manifest).suffix in {".yaml", ".yml"}
    return str(Path(manifest).resolve()) if is_file else manifest


def grid_of(request: Request, output_dir: Path) -> list[RunConfig]:
    """All runs of a grid: every combination of data, model, training and seed.

    Combinations that differ in nothing that is read are one: plain models at two temperatures.
    Where a protocol lets the learning rate jump, and no rate is asked for, it is `RELEASED_RATE`
    up to the jump: from the book's own rate the jump would be a fall.

    Raises:
        DataError: see `sweep`.
    """
    profile = get_profile(request.profile)
    if request.seeds is not None:
        if min(request.seeds) < 0 or len(set(request.seeds)) != len(request.seeds):
            raise DataError(f"--seeds {list(request.seeds)}: expected distinct numbers >= 0")
        profile = replace(profile, seeds=tuple(request.seeds))
    if request.book:
        alone = ("attention", "arm", "share", "protocol")
        given = [name for name in alone if getattr(request, name)]
        if given or request.set:
            raise DataError(f"--book: expected no --{given[0] if given else 'set'} beside it")
        own = [name for name in request.manifest or () if name != "synthetic"]
        if len(own) > 1:
            raise DataError(f"--manifest {' '.join(own)}: with --book expected one at most")
        return book_runs(profile, output_dir, own[0] if own else None)
    settings = dict(_parse_setting(text) for text in request.set)
    if len(settings) != len(request.set):
        raise DataError(f"--set {' '.join(request.set)}: a key is given twice")
    configs: list[RunConfig] = []
    for values in product(*settings.values()):
        configs += _runs_at(request, profile, dict(zip(settings, values, strict=True)), output_dir)
    return list(dict.fromkeys(configs))


def _runs_at(
    request: Request, profile: Profile, setting: Mapping[str, Any], output_dir: Path
) -> list[RunConfig]:
    """The grid at one value of each key that ``--set`` names."""
    chosen: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, value in setting.items():
        section, name = key.split(".")
        chosen[section][name] = value
    if "folds" in chosen["data"]:
        profile = replace(profile, folds=chosen["data"].pop("folds"))
    base = ModelConfig(**{"dim": profile.dim, **chosen["model"]})
    attentions = _hints(ModelConfig)["attention"]
    models = [
        replace(base, attention=_value("--attention", attentions, name), **arm)
        for name in request.attention or ["ca"]
        for arm in _arms(request.arm, setting)
    ]
    sets = [DataConfig(name, **chosen["data"]) for name in request.manifest or ["synthetic"]]
    if request.share is not None:
        sets = [at_share(data, share) for data in sets for share in request.share]
    options = chosen["training"]
    jumping = {"learning_rate": RELEASED_RATE, **options}
    return [
        RunConfig(fold, *as_read(model, training), seed, protocol)
        for data in sets
        for protocol in _protocols(request.protocol, chosen["protocol"])
        for asked in [jumping if _jumps(protocol) else options]
        for training in [replace(training_on(profile, data), **asked)]
        for fold, model, seed in product(folds_of(profile, data, output_dir), models, profile.seeds)
    ]


def _arms(names: Sequence[str] | None, setting: Mapping[str, Any]) -> list[dict[str, Any]]:
    taken = [key for key in _ARM_KEYS if key in setting]
    if taken and names is None:
        return [{}]
    if taken:
        raise DataError(f"--set {taken[0]}: --arm sets it, expected one of the two")
    for name in names or ():
        if name not in ARM_NAMES:
            raise DataError(f"--arm {name!r}: expected one of {', '.join(ARM_NAMES)}")
    return [ARMS[ARM_NAMES[name]] for name in names or ARM_NAMES]


def _protocols(names: Sequence[str] | None, switches: Mapping[str, Any]) -> list[Protocol]:
    """The named protocols, each with the switches that ``--set`` names."""
    for name in names or ():
        if name not in PROTOCOLS:
            raise DataError(f"--protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    return [replace(PROTOCOLS[name], **switches) for name in names or ["strict"]]


def _parse_setting(text: str) -> tuple[str, list[Any]]:
    """``section.field=value,value`` -> its key and values, typed as the field is annotated."""
    key, equals, values = text.partition("=")
    section, _, name = key.partition(".")
    if not equals or section not in _SECTIONS:
        known = ", ".join(_SECTIONS)
        raise DataError(f"--set {text!r}: expected SECTION.FIELD=VALUE[,VALUE], section {known}")
    if key in _OWN_OPTION:
        raise DataError(f"--set {key}: expected {_OWN_OPTION[key]}")
    hints = _hints(_SECTIONS[section])
    if name not in hints:
        raise DataError(f"--set {key}: unknown, {section} has {', '.join(hints)}")
    parsed = [_value(f"--set {key}", hints[name], value) for value in values.split(",")]
    return key, list(dict.fromkeys(parsed))


def _hints(section: type) -> dict[str, Any]:
    return get_type_hints(section)


def _value(what: str, annotation: Any, text: str) -> Any:
    """A text as a value of an annotated type: the first member of a union that fits it."""
    union = get_origin(annotation) in (Union, UnionType)
    for kind in get_args(annotation) if union else (annotation,):
        choices: dict[str, Any] = {}
        if get_origin(kind) is Literal:
            choices = {choice: choice for choice in get_args(kind)}
        elif kind is bool:
            choices = {"true": True, "false": False}
        elif kind is NoneType:
            choices = {"none": None}
        if text in choices:
            return choices[text]
        if kind in (int, float, str):
            try:
                value = kind(text)
            except ValueError:
                continue
            if value != "" and (kind is not float or math.isfinite(value)):
                return value
    raise DataError(f"{what}: found {text!r}, expected {_expected(annotation)}")


def _expected(annotation: Any) -> str:
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_expected(kind) for kind in get_args(annotation))
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(annotation, "none")
