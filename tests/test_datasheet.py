"""The datasheet of `episodes`: its numbers are the manifest's, its commands and examples work.

That its formulas are the generator's is tested in ``iaca/commands/test_export.py``.
"""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from companion.reference.lines import append_line
from companion.reference.plan import DRAWS, TUNING_SEEDS, TUNING_WORLD, WORLDS, Arm, cell_of
from iaca.base.paths import MANIFESTS
from iaca.cli import main
from iaca.sources.episodes import DRAWS as VIEW_DRAWS
from iaca.sources.episodes import FROZEN_EPISODES_SHA256
from iaca.sources.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "book" / "datasheet.md").read_text(encoding="utf-8")
SENTENCES = " ".join(PAGE.split())
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


def test_its_numbers_are_those_of_the_manifest_and_the_plan() -> None:
    made = load_manifest("episodes").episodes
    assert made is not None
    sizes, dial = made.sizes, [f"{share:g}" for share in made.dial]
    for words in (
        f"has {sizes.train}, {sizes.select} and {sizes.report} subjects to train, to select and",
        f"{sizes.recordings} recordings of {sizes.clips} clips",
        f"{made.audio.dim} audio features, {made.visual.dim} visual features",
        f"{', '.join(dial[:-1])} or {dial[-1]}. The centre is {made.central_share:g}.",
        f"`integers({made.affect.prototypes})`",
        f"`integers(1, {made.affect.prototypes})`, added modulo {made.affect.prototypes}",
        f"{VIEW_DRAWS:,} vectors of `axes` standard normal numbers",
        f"World {TUNING_WORLD} is for design and tuning alone. Worlds {WORLDS[0]} to {WORLDS[-1]}",
        f"{DRAWS} random draws with two seeds each on world {TUNING_WORLD}",
    ):
        assert words in SENTENCES, words
    assert len(TUNING_SEEDS) == 2
    assert made.states.corrupted == made.states.conflicting == made.states.dominating  # 1/6 each
    assert "`FROZEN_EPISODES_SHA256`" in SENTENCES and len(FROZEN_EPISODES_SHA256) == 64


def test_the_manifest_that_it_shows_is_the_manifest() -> None:
    (shown,) = re.findall(r"^```\{literalinclude\} (\S+)$", PAGE, re.M)
    assert (ROOT / "book" / shown).read_bytes() == (MANIFESTS / "episodes.yaml").read_bytes()


def test_a_method_from_elsewhere_is_scored_and_put_beside_the_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's commands and examples in its order; only other worlds' scores are made up."""
    commands = [
        shlex.split(line)
        for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)
        for line in block.splitlines()
    ]
    export, table, as_json = (words[1 : [*words, ">"].index(">")] for words in commands)
    monkeypatch.chdir(tmp_path)
    assert main([*export, "--output-dir", "build"]) == 0
    weights = np.random.default_rng(0).standard_normal((80, 2)) / 9
    exec(EXAMPLES[0], {"my_model": lambda inputs: inputs @ weights})
    assert main([*table, "--output-dir", "build"]) == 0
    capsys.readouterr()
    assert main([*as_json, "--output-dir", "build"]) == 0
    printed = capsys.readouterr().out
    own = json.loads(printed)["scores"]["all"]["mean"]
    assert -1 < own < 1

    rng = np.random.default_rng(1)
    plain, mine = rng.uniform(0.4, 0.6, (2, len(WORLDS)))
    mine[2] = own
    for world, score, other in zip(WORLDS, plain, mine, strict=True):
        Path(f"score_{world}.json").write_text(
            json.dumps({"scores": {"all": {"mean": other}}}) if world != 3 else printed
        )
        for attention, arm in (("ca", Arm.PLAIN), ("ca", Arm.TUNED), ("jca", Arm.PLAIN)):
            at = [score, score] if (attention, arm) == ("ca", Arm.PLAIN) else [0.1, 0.2]
            name = cell_of(attention, arm, 0.46, world).name  # type: ignore[arg-type]
            line = {"run": name, "scores": {"all": at, "strong": [0.3, 0.4]}}
            append_line(Path("reference/headline.jsonl"), line)
    exec(EXAMPLES[1], {})
    stats = pytest.importorskip("scipy.stats")
    delta = mine - plain
    low, high = stats.t.interval(0.95, len(delta) - 1, delta.mean(), stats.sem(delta))
    assert capsys.readouterr().out == f"{delta.mean():+.3f} [{low:+.3f}, {high:+.3f}]\n"
