"""CCC and its loss against independent computations, and on degenerate inputs."""

import math

import numpy as np
import pytest
import torch

from iaca.learning.metrics import ccc, ccc_loss

NAN = float("nan")


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Lin's coefficient of two sequences, NaN labels left out, by its definition."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if not math.isnan(b)]
    n = len(pairs)
    mean_x, mean_y = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    var_x = sum((a - mean_x) ** 2 for a, _ in pairs) / n
    var_y = sum((b - mean_y) ** 2 for _, b in pairs) / n
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in pairs) / n
    return 2.0 * covariance / (var_x + var_y + (mean_x - mean_y) ** 2)


@pytest.fixture
def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions that are right on the whole, scaled and shifted; a fifth has no label."""
    generator = torch.Generator().manual_seed(5)
    label = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    label[torch.rand(200, 3, generator=generator) < 0.2] = NAN
    prediction = 0.7 * label.nan_to_num(0.0) + 0.5 * noise + torch.tensor([0.0, 0.3, -1.0])
    return prediction, label


def test_ccc_is_its_definition(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, label = pairs
    found = ccc(prediction, label)
    for target in range(3):
        x, y = prediction[:, target].numpy(), label[:, target].numpy()
        assert float(found[target]) == pytest.approx(by_definition(x, y), abs=1e-12)


def test_any_shape_over_the_first_axis(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, label = pairs
    whole = ccc(prediction, label)
    assert ccc(prediction[:, 0], label[:, 0]).shape == ()
    torch.testing.assert_close(ccc(prediction[:, 0], label[:, 0]), whole[0])
    torch.testing.assert_close(ccc(prediction[:, None], label[:, None]), whole[None])


def test_float32_input_is_computed_in_float64() -> None:
    label = torch.tensor([1e4, 1e4 + 1.0, 1e4 + 2.0])
    assert ccc(label, label).dtype == torch.float64
    assert float(ccc(label, label)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "label", "expected"),
    [
        ([1.0, 2.0], [NAN, NAN], NAN),  # no valid pair
        ([], [], NAN),
        ([0.1] * 7, [0.1] * 7, NAN),  # both constant, whatever rounding does to their mean
        ([0.1] * 7, [0.7] * 7, NAN),
        ([0.1], [0.4], NAN),  # one pair
        ([0.1] * 7, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 0.0),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0.1] * 7, 0.0),
        ([0.3, 0.3, 9.0], [0.1, 0.2, NAN], 0.0),  # constant where it counts
        ([0.0, 1.0], [1.0, 0.0], -1.0),
    ],
)
def test_degenerate_input(prediction: list[float], label: list[float], expected: float) -> None:
    for dtype in (torch.float32, torch.float64):
        found = float(ccc(torch.tensor(prediction, dtype=dtype), torch.tensor(label, dtype=dtype)))
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_masked_predictions_may_be_anything(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, label = pairs
    for value in (1e6, NAN, math.inf):
        changed = torch.where(label.isnan(), value, prediction)
        torch.testing.assert_close(ccc(changed, label), ccc(prediction, label), rtol=0, atol=0)
        torch.testing.assert_close(
            ccc_loss(changed, label), ccc_loss(prediction, label), rtol=0, atol=0
        )


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_a_prediction_that_counts_must_be_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        ccc(torch.tensor([0.0, bad]), torch.tensor([0.0, 1.0]))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="prediction"):
        ccc(torch.zeros(3, 2), torch.zeros(3, 1))


def test_loss_is_the_sum_of_one_minus_ccc(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, label = pairs
    expected = (1.0 - ccc(prediction, label)).sum()
    assert float(ccc_loss(prediction, label)) == pytest.approx(float(expected), abs=1e-6)
    windows = prediction.reshape(10, 20, 3), label.reshape(10, 20, 3)
    torch.testing.assert_close(ccc_loss(*windows), ccc_loss(prediction, label))


def test_loss_of_nothing_is_zero() -> None:
    assert ccc_loss(torch.zeros(2, 4, 2), torch.full((2, 4, 2), NAN)) == 0.0
    assert ccc_loss(torch.zeros(0, 4, 2), torch.zeros(0, 4, 2)) == 0.0


def test_a_target_without_labels_adds_nothing(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, label = pairs
    prediction = prediction.clone().requires_grad_()
    label = label.clone()
    label[:, 1] = NAN
    loss = ccc_loss(prediction, label)
    torch.testing.assert_close(loss, ccc_loss(prediction[:, [0, 2]], label[:, [0, 2]]))
    loss.backward()
    assert torch.isfinite(prediction.grad).all()
    assert not prediction.grad[:, 1].any()


def test_masked_entries_have_no_gradient(pairs: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, label = pairs
    prediction = torch.where(label.isnan(), NAN, prediction).requires_grad_()
    ccc_loss(prediction, label).backward()
    assert torch.isfinite(prediction.grad).all()
    assert not prediction.grad[label.isnan()].any()
    assert prediction.grad[~label.isnan()].all()


@pytest.mark.parametrize("label", [[0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])
def test_constant_predictions_have_a_finite_gradient(label: list[float]) -> None:
    prediction = torch.full((3, 1), 0.5, requires_grad=True)
    loss = ccc_loss(prediction, torch.tensor(label).unsqueeze(1))
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert torch.isfinite(prediction.grad).all()
