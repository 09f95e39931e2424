"""The concordance correlation coefficient, as a score and as a loss."""

import torch
from torch import Tensor


def concordance(covariance: Tensor, spread: Tensor, gap: Tensor, epsilon: float = 0.0) -> Tensor:
    """CCC's formula: twice the covariance over both variances' sum and the means' squared gap."""
    return 2.0 * covariance / (spread + gap.square() + epsilon)


def ccc(prediction: Tensor, label: Tensor) -> Tensor:
    r"""Concordance correlation coefficient over the first axis, in float64.

    .. math::
        \mathrm{CCC} = \frac{2 s_{xy}}{s_x^2 + s_y^2 + (\bar x - \bar y)^2}

    with biased moments, as the challenge's own evaluation computes it. Pairs whose label is NaN
    are left out, target by target.

    Source: Lin, "A concordance correlation coefficient to evaluate reproducibility",
    Biometrics 45, 1989.

    Args:
        prediction: ``(N, ...)``, finite.
        label: the same shape, NaN where invalid.

    Returns:
        One value a target, ``(...)``, in [-1, 1]. NaN without a valid pair, or if predictions and
        labels are both constant; 0 if only one of them is.

    Raises:
        ValueError: if the shapes differ or a prediction with a valid label is not finite.

    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> round(float(ccc(x, x)), 6), round(float(ccc(x + 1.0, x)), 6)
    (1.0, 0.571429)
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)}, label {tuple(label.shape)}")
    if len(label) == 0:
        return torch.full(label.shape[1:], torch.nan, dtype=torch.float64, device=label.device)
    valid = ~label.isnan()
    if not torch.isfinite(prediction[valid]).all():
        raise ValueError("a prediction with a valid label is NaN or infinite")
    count = valid.sum(dim=0).double()  # (...)
    dx, dy, gap = _centred(prediction.double(), label.double(), valid, count)
    covariance = (dx * dy).sum(dim=0) / count
    var_x, var_y = dx.square().sum(dim=0) / count, dy.square().sum(dim=0) / count
    # A constant column's mean is rounded, so its variance is tiny instead of 0.
    ranges = extremes(prediction, valid), extremes(label, valid)
    constant_x, constant_y = (high <= low for low, high in ranges)
    value = concordance(covariance, var_x + var_y, gap)
    value = torch.where(constant_x | constant_y, 0.0, value)
    return torch.where((constant_x & constant_y) | (count == 0), torch.nan, value)


def _centred(x: Tensor, y: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Deviations from the means of the valid pairs, 0 at others, and the means' difference."""
    # Masked entries are replaced before any arithmetic: NaN * 0 would poison the gradient.
    x, y = torch.where(valid, x, 0.0), torch.where(valid, y, 0.0)
    mean_x, mean_y = x.sum(dim=0) / count, y.sum(dim=0) / count
    dx, dy = (torch.where(valid, z - mean, 0.0) for z, mean in ((x, mean_x), (y, mean_y)))
    return dx, dy, mean_x - mean_y


def extremes(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest valid values over the first axis; infinite where nothing is valid."""
    return torch.where(valid, x, torch.inf).amin(dim=0), torch.where(valid, x, -torch.inf).amax(0)


def ccc_loss(prediction: Tensor, label: Tensor, epsilon: float = 1e-8) -> Tensor:
    r"""Summed :math:`1 - \mathrm{CCC}` over targets, over all valid pairs of a batch.

    Args:
        prediction: ``(..., n)``.
        label: the same shape, NaN where invalid.
        epsilon: added to the denominator, so that constant predictions have a gradient.

    Returns:
        A scalar in [0, 2n]. A target without a valid label adds nothing, nor any gradient.

    >>> y = torch.tensor([[0.0], [1.0], [torch.nan]])
    >>> round(float(ccc_loss(torch.tensor([[0.0], [1.0], [9.0]]), y)), 6)
    0.0
    """
    dx, dy, gap, count = _deviations(prediction, label)
    safe = count.clamp(min=1)
    covariance = (dx * dy).sum(dim=0) / safe
    spread = (dx.square() + dy.square()).sum(dim=0) / safe
    agreement = concordance(covariance, spread, gap, epsilon)
    return torch.where(count > 0, 1.0 - agreement, 0.0).sum()


def unbiased_ccc_loss(prediction: Tensor, label: Tensor, epsilon: float = 1e-8) -> Tensor:
    r"""The summed :math:`1 - \mathrm{CCC}` of the baselines' released code.

    .. math::
        \mathrm{CCC} = \frac{2 \rho s_x s_y}{s_x^2 + s_y^2 + (\bar x - \bar y)^2}

    with unbiased deviations and, in the denominator of :math:`\rho` alone, ``epsilon``. Of N pairs
    it is what :func:`ccc_loss` gives with :math:`(\bar x - \bar y)^2` shrunk by (N - 1) / N. The
    released code masks no pair, its files holding valid ones only; here invalid ones are left out.

    Args:
        prediction: ``(..., n)``.
        label: the same shape, NaN where invalid.
        epsilon: added to the denominator of the correlation.

    Returns:
        A scalar in [0, 2n]; NaN, and gradients of NaN, where a target's predictions or labels are
        constant. A target with fewer than two valid labels adds nothing, nor any gradient.

    >>> x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]])
    >>> round(float(unbiased_ccc_loss(x, y)), 6)  # 1 - 2 * 2 / (2 + 2 + 1)
    0.2
    """
    dx, dy, gap, count = _deviations(prediction, label)
    enough = count >= 2
    # A root of 0 has a gradient of NaN, which a target that is left out must not pass on.
    x2, y2 = (torch.where(enough, z.square().sum(dim=0), 1.0) for z in (dx, dy))
    correlation = (dx * dy).sum(dim=0) / (x2.sqrt() * y2.sqrt() + epsilon)
    s_x2, s_y2 = (z / (count - 1).clamp(min=1) for z in (x2, y2))
    agreement = concordance(correlation * s_x2.sqrt() * s_y2.sqrt(), s_x2 + s_y2, gap)
    return torch.where(enough, 1.0 - agreement, 0.0).sum()


def _deviations(prediction: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`_centred` of all pairs of a batch, and how many of them are valid, ``(n,)``."""
    n = prediction.shape[-1]
    x, y = prediction.reshape(-1, n), label.reshape(-1, n)
    valid = ~y.isnan()
    count = valid.sum(dim=0)
    return *_centred(x, y, valid, count.clamp(min=1)), count
