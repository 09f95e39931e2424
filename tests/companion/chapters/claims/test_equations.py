"""What the ledger says of equations, against loops in NumPy."""

import numpy as np
import pytest
from reference import cross_attention

from companion.chapters.claims import equations
from companion.reference.lines import Results


def by_loops(printed: bool) -> dict[str, np.ndarray]:
    audio, visual = (x[0].numpy().T for x in equations._features())
    weight = equations._attention().weight.detach().numpy()
    return cross_attention(audio, visual, weight, printed)


def test_columns_of_the_printed_formula_do_not_sum_to_one() -> None:
    ruling = equations.printed_columns(Results())
    sums = by_loops(printed=True)["a_visual"].sum(axis=0)
    assert ruling.outcome == "contradicted" and "transpose of A_a" in ruling.why
    assert f"{sums.min():.2f} up to {sums.max():.2f}" in ruling.why
    assert by_loops(printed=False)["a_visual"].sum(axis=0) == pytest.approx(np.ones(16))


def test_attended_audio_is_the_voice_and_a_mean_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert equations.audio_from_audio(Results()).outcome == "supported"
    attention = equations._attention()

    def leaking(x_a, x_v, return_scores=False):  # type: ignore[no-untyped-def]
        attended = attention(x_a, x_v, return_scores=True)
        return attended._replace(audio=attended.audio + 0.01 * x_v)

    monkeypatch.setattr(equations, "_attention", lambda: leaking)
    assert equations.audio_from_audio(Results()).outcome == "contradicted"


def test_the_mean_weight_is_one_over_the_number_of_clips_with_any_face() -> None:
    ruling = equations.mean_weight(Results())
    assert ruling.outcome == "cannot be tested here"
    assert ruling.why.count(f"{1 / equations.LENGTH:.4f}") == 3


def test_a_foreign_attention_is_wrapped() -> None:
    assert equations.wraps_any(Results()).outcome == "supported"
