"""The objections say what the results say, whichever they are."""

import re

from made_results import MadeUp, validity_of

from companion.chapters.claims.limits import limits
from companion.reference.plan import ATTENTIONS
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
