"""The dial's chart: every number is in it, and the reader's choices show what they say."""

import pytest
from charts import drawn

from companion.analysis.inference import Interval
from companion.chapters.ablations.charts import dial_chart
from companion.publishing.vegalite import chart_html, show
from iaca.runs.arms import GATED_ARMS

ARMS = GATED_ARMS
CONTROLS = ("residual MLP", "raw and attended", "gates only", "frozen", "neither")
SHARES = (0.0, 0.46, 0.8)
Curves = dict[str, dict[str, dict[float, Interval]]]


def interval(value: float, half: float = 0.01) -> Interval:
    return Interval(value, value - half, value + half, 0.005, 3, 24)


def curves(controls: int = 2, shares: tuple[float, ...] = SHARES) -> Curves:
    """Every value is another one."""
    return {
        backbone: {
            model: {share: interval(0.1 * b + 0.05 + 0.01 * m + 0.001 * share) for share in shares}
            for m, model in enumerate([*ARMS, *CONTROLS[:controls]])
        }
        for b, backbone in enumerate(("CA", "TCA"))
    }


def rows_of(given: Curves) -> list[dict]:
    layers = show(dial_chart(given), "described").spec["layer"]
    return next(layer["data"]["values"] for layer in layers if "layer" in layer)


def test_the_chart_holds_every_number_beside_its_share_and_says_it() -> None:
    given = curves()
    given["CA"][ARMS[0]][0.8] = interval(-0.0123)
    del given["TCA"][CONTROLS[0]]
    rows = {(row["attention"], row["model"], row["share"]): row for row in rows_of(given)}
    assert len(rows) == 2 * 4 * 3 - 3
    for (backbone, model, share), row in rows.items():
        found = given[backbone][model][share]
        ends = row["low"], row["value"], row["high"]
        assert ends == pytest.approx((found.low, found.value, found.high), abs=1e-5)
        assert abs(row["at"] - 100 * share) < 5
    assert len({row["at"] for row in rows.values()}) == 4 * 3  # no model stands where another does
    assert rows["CA", ARMS[0], 0.8]["words"] == "−0.012 [−0.022, −0.002]"


@pytest.mark.parametrize(
    ("attention", "models", "shown"),
    [("CA", "all", (*ARMS, *CONTROLS[:2])), ("TCA", "IACA only", ARMS)],
)
def test_the_reader_chooses_the_backbone_and_the_models(
    attention: str, models: str, shown: tuple[str, ...]
) -> None:
    given = curves()
    chart = dial_chart(given)
    said = drawn(chart, attention=attention, models=models)
    points = [mark for mark in said if "95 % interval" in mark]
    assert len(points) == len(shown) * len(SHARES)
    for model in shown:
        for share, found in given[attention][model].items():
            words = f"share: {100 * share:.0f}%", f"{found.value:+.3f} [".replace("-", "−")
            assert sum(f"model: {model};" in p and all(w in p for w in words) for p in points) == 1
    other = drawn(chart, attention="CA" if attention == "TCA" else "TCA")
    assert said[:2] == other[:2] and said[1].startswith("Y-axis")  # the axes stay where they are


def test_without_controls_there_is_one_menu() -> None:
    assert len(show(dial_chart(curves(controls=0)), "described").spec["params"]) == 1


@pytest.mark.parametrize("shares", [SHARES, (0.2, 0.46)])
def test_the_tolerance_is_shown_at_share_0_alone(shares: tuple[float, ...]) -> None:
    given = curves(shares=shares)
    said = [mark for mark in drawn(dial_chart(given)) if "±0.01 at share 0" in mark]
    assert len(said) == (0.0 in shares)
    assert all("low: −0.01; right: 5; high: 0.01" in mark for mark in said)
    assert all(abs(row["at"]) < 5 for row in rows_of(given) if row["share"] == 0.0)


def test_one_control_too_many_is_refused() -> None:
    given = curves(controls=5)
    given["CA"]["one more"] = given["CA"][ARMS[0]]
    with pytest.raises(ValueError, match="6 controls, expected at most 5"):
        dial_chart(given)


def test_the_chart_stands_in_the_page() -> None:
    page = chart_html(show(dial_chart(curves(5)), "A dial.").spec)
    assert 'role="group"' in page and "data:image/png;base64," in page
