"""The objections say what the results say, whichever they are."""

import re

from made_results import MadeUp, validity_of

from companion.chapters.claims.limits import limits
from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, Arm, Cell, draws_of
from companion.reference.tables.validity import valid


def first(results: MadeUp) -> str:
    lines = limits(results)
    assert [line.split(".")[0] for line in lines] == [str(n + 1) for n in range(len(lines))]
    text = re.sub(r"\{(num)?ref\}`", "", "".join(lines))
    assert "{" not in text, "a number that was to be computed"
    return lines[0]


def test_which_attentions_are_judged_is_read_from_the_results() -> None:
    one = MadeUp(validity=validity_of("ca"))
    assert valid(one) == ("ca",)
    assert "judged on CA only" in first(one) and "TCA, JCA, RJCA" in first(one)
    assert "left open" in first(one)
    three = first(MadeUp(validity=validity_of("ca", "tca", "rjca")))
    assert "judged on CA, TCA, RJCA only" in three and "left open" not in three
    assert "for all attentions" in first(MadeUp(validity=validity_of(*ATTENTIONS)))
    assert "0 of 300 runs are there" in first(MadeUp())


def test_what_tuning_chose_is_read_from_the_results() -> None:
    def line(cell: Cell) -> Line:
        best = Arm.ZERO_STARTED if cell.attention == "ca" else Arm.TUNED
        return {"select": 0.6 if (cell.arm, cell.draw) == (best, 3) else 0.5}

    text = "".join(limits(MadeUp(tuning=line)))
    assert "took these draws: CA: 3 of zero-started, TCA: 3, JCA: 3, RJCA: 3." in text
    hottest = max(0.1, draws_of(Arm.TUNED)[3]["model.temperature"])  # zero-started gates have 0.1
    assert f"chosen is {hottest:.2f}; none above 2" in text
    assert "The tuning is not computed yet: 0 of 576" in "".join(limits(MadeUp()))
