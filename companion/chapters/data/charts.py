"""Notebook `00_data`: a film along which the reader moves."""

import altair as alt
import pandas as pd

from companion.chapters.data.film import CUES, NARRATOR, opposite
from companion.chapters.drawing.charts import Layers, dropdown, looks, slider
from companion.chapters.drawing.style import AUDIO, LABEL, SHADES, STATE_COLOURS, VISUAL
from iaca.sources.studyforrest import TARGETS

AROUND = 60  # seconds that are shown on either side
LINES = {"with the picture": "black", "without it": LABEL}
APART = "opposite signs"
STRIPS = {
    APART: SHADES[3],
    "face": VISUAL,
    "gesture": STATE_COLOURS["conflicting visual"],
    "voice": AUDIO,
    "words": STATE_COLOURS["conflicting audio"],
    "context": SHADES[1],
    NARRATOR: SHADES[2],
}
TOP, STEP = -1.35, 0.27  # of the strips below the ratings, in units of a rating


def film_chart(film: pd.DataFrame, start: int) -> Layers:
    """Ratings with and without the picture around a second, and the cues below them.

    Args:
        film: of `companion.chapters.data.film.read_film`.
        start: the second at which the slider begins.
    """
    columns = [*TARGETS, *(f"{target}_heard" for target in TARGETS), *CUES.values(), NARRATOR]
    rows = {name: film[name].round(2).tolist() for name in columns}
    rows |= {f"{target}_apart": opposite(film, target).astype(int).tolist() for target in TARGETS}
    values, first = {name: [column] for name, column in rows.items()}, int(film.index[0])
    chosen = {
        "with the picture": "{0}",
        "without it": "{0}_heard",
        APART: "{0}_apart",
    }
    base = (
        alt.Chart(pd.DataFrame(values))
        .transform_flatten(list(rows))
        .transform_window(row="row_number()")
        .transform_calculate(second=f"datum.row - 1 + {first}")
        .transform_filter(f"abs(datum.second - second) <= {AROUND}")
    )
    for name, field in chosen.items():
        one, other = (f"datum.{field.format(target)}" for target in TARGETS)
        picked = f"rating === '{TARGETS[0]}' ? {one} : {other}"
        base = base.transform_calculate(**{name: picked})
    return (
        alt.layer(*_ratings(base), *_strips(base))
        .add_params(
            slider("second", start, (first, first + len(film) - 1), 1, "second of the film"),
            dropdown("rating", list(TARGETS)),
        )
        .properties(height=360)
    )


def _time(field: str) -> alt.X:
    clock = "floor(datum.value / 60) + ':' + format(datum.value % 60, '02')"
    axis = alt.Axis(labelExpr=clock, tickMinStep=10)
    scale = alt.Scale(nice=False, zero=False)
    return alt.X(f"{field}:Q", title="minute and second of the film", axis=axis, scale=scale)


def _height(field: str) -> alt.Y:
    """One axis for both: ratings from -1 to 1, and below them a name for each strip."""
    centres = [TOP - STEP * place for place in range(len(STRIPS))]
    names = str(list(STRIPS))
    label = f"datum.value < -1.1 ? {names}[round(({TOP} - datum.value) / {STEP})] : datum.value"
    axis = alt.Axis(values=[1, 0, -1, *centres], labelExpr=label, labelLimit=0, grid=False)
    scale = alt.Scale(domain=[centres[-1] - STEP / 2, 1.1], nice=False)
    return alt.Y(f"{field}:Q", title=None, axis=axis, scale=scale)


def _ratings(base: alt.Chart) -> list[alt.Chart]:
    lines = base.transform_fold(list(LINES), as_=["line", "value"])
    here = base.transform_filter("datum.second === second")
    said = "floor(second / 60) + ':' + format(second % 60, '02')"
    for name in LINES:
        said += f" + ', {name} ' + format(datum['{name}'], '+.2f')"
    words = here.transform_calculate(said=said)
    return [
        lines.mark_line(strokeWidth=2).encode(
            _time("second"),
            _height("value"),
            alt.Color(**looks("line", LINES)),
            strokeDash=alt.StrokeDash(
                "line:N", scale=alt.Scale(domain=list(LINES), range=[[1, 0], [5, 3]]), legend=None
            ),
            tooltip=["second:Q", "line:N", alt.Tooltip("value:Q", format="+.2f")],
        ),
        here.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=LABEL).encode(_time("second")),
        words.mark_text(align="right", baseline="bottom", fontSize=12).encode(
            x=alt.value("width"), y=alt.value(-6), text="said:N", description="said:N"
        ),
    ]


def _strips(base: alt.Chart) -> list[alt.Chart]:
    """A row a cue, the darker the more raters named it; and one where signs are opposite."""
    order = str({name: place for place, name in enumerate(STRIPS)})
    strips = (
        base.transform_fold(list(STRIPS), as_=["strip", "named"])
        .transform_calculate(middle=f"{TOP} - {STEP} * ({order})[datum.strip]")
        .transform_calculate(
            bottom=f"datum.middle - {0.4 * STEP}", top=f"datum.middle + {0.4 * STEP}"
        )
        .transform_calculate(left="datum.second - 0.5", right="datum.second + 0.5")
    )
    colours = alt.Scale(domain=list(STRIPS), range=list(STRIPS.values()))
    shares = strips.mark_rect().encode(
        x=_time("left"),
        x2="right:Q",
        y=_height("bottom"),
        y2="top:Q",
        fill=alt.Fill("strip:N", scale=colours, legend=None),
        fillOpacity=alt.FillOpacity(
            "named:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None
        ),
        tooltip=["second:Q", "strip:N", "named:Q"],
    )
    return [shares]
