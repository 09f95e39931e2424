"""Chapter 5 prices every family, and every attention once without and once with gates."""

from companion.chapters.sota.costs import Costs, costs_of, costs_table, priced
from companion.chapters.sota.side import BASELINE
from companion.experiments.side_by_side import FAMILY
from iaca.models.regressor import AffectRegressor, count_parameters
from iaca.models.related_work import FAMILIES


def test_gates_cost_the_same_however_they_start() -> None:
    models = priced(16)
    kinds = [kind for _, kind in models]
    assert kinds.count(FAMILY) == len(FAMILIES) + 1
    assert kinds.count("plain") == kinds.count("IACA") == 4 and len(models) == len(FAMILIES) + 9
    few = {model: models[model] for model in (BASELINE, ("CA", "IACA"))}
    found = costs_of(few, (3, 4, 2), batch=2, turns=2, device="cpu")
    assert found[BASELINE].ratio == found[BASELINE].clip_ratio == 1
    for model, cost in found.items():
        assert cost.parameters == count_parameters(AffectRegressor(few[model], 3, 4, 2))
        assert cost.step > 0 and cost.clip > 0


def test_costs_are_said_in_readable_units() -> None:
    table = costs_table({("CA", "IACA"): Costs(22281, 401_408, 12.34, 1.52, 3.06, 2.04)})
    assert table.to_dict("records") == [
        {
            "Model": "CA, IACA",
            "Parameters": "22,281",
            "Multiply-adds (millions)": "0.40",
            "Training step": "12.3 ms (× 1.5)",
            "Prediction of a clip": "3.1 µs (× 2.0)",
        }
    ]
