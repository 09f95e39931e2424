"""Plain transcriptions in float64 NumPy, loop by loop, in the papers' ``d x L`` layout.

Nothing here imports the package: the tests compare the package with it.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def product(left: Array, right: Array) -> Array:
    """The matrix product by its definition."""
    out = np.zeros((left.shape[0], right.shape[1]))
    for i in range(left.shape[0]):
        for j in range(right.shape[1]):
            for k in range(left.shape[1]):
                out[i, j] += left[i, k] * right[k, j]
    return out


def relu(x: Array) -> Array:
    return np.where(x > 0.0, x, 0.0)


def cross_attention(x_a: Array, x_v: Array, w: Array, printed: bool, scale: float = 1.0) -> dict:
    """Eqs. 1-4; ``printed`` sums the second map over its second index, as the formula has it."""
    d, length = x_a.shape
    z = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            for p in range(d):
                for q in range(d):
                    z[i, j] += scale * x_a[p, i] * w[p, q] * x_v[q, j]
    a_a, a_v = np.zeros_like(z), np.zeros_like(z)
    for i in range(length):
        for j in range(length):
            a_a[i, j] = math.exp(z[i, j]) / sum(math.exp(z[k, j]) for k in range(length))
            z_transposed = math.exp(z[j, i])
            if printed:  # sum over k of exp of (Z^T)_ik = Z_ki
                a_v[i, j] = z_transposed / sum(math.exp(z[k, i]) for k in range(length))
            else:  # sum over k of exp of (Z^T)_kj = Z_jk
                a_v[i, j] = z_transposed / sum(math.exp(z[j, k]) for k in range(length))
    att_a, att_v = np.zeros_like(x_a), np.zeros_like(x_v)
    for p in range(d):
        for j in range(length):
            att_a[p, j] = math.tanh(x_a[p, j] + sum(x_a[p, i] * a_a[i, j] for i in range(length)))
            att_v[p, j] = math.tanh(x_v[p, j] + sum(x_v[p, i] * a_v[i, j] for i in range(length)))
    return {"z": z, "a_audio": a_a, "a_visual": a_v, "audio": att_a, "visual": att_v}


def joint_cross_attention(x_a: Array, x_v: Array, w: Mapping[str, Array]) -> dict:
    """JCA: ``w`` holds W_ja, W_jv (L x L), W_a, W_v (k x L), W_ca, W_cv (k x 2d), W_ha, W_hv."""
    joint = np.concatenate([x_a, x_v], axis=0)  # (2d, L)
    out = {}
    for m, x in (("a", x_a), ("v", x_v)):
        # X_m^T of the T-BIOM paper's L x d layout is d x L here; J of L x 2d is joint.T.
        c = product(product(x, w[f"j{m}"]), joint.T) / math.sqrt(len(joint))
        for i in range(c.shape[0]):
            for j in range(c.shape[1]):
                c[i, j] = math.tanh(c[i, j])
        h = relu(product(x, w[m].T) + product(c, w[f"c{m}"].T))  # (d, k)
        out[f"c_{m}"] = c
        out[m] = product(h, w[f"h{m}"].T) + x  # (d, L)
    return out


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def lstm(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    bias: Array,
    backwards: bool,
    first: tuple[Array, Array] | None = None,
) -> Array:
    """One direction of an LSTM over the columns of ``x``; gates in the order i, f, g, o.

    ``first`` are the hidden state and the cell before the first column; zeros by default.
    """
    units = w_hh.shape[1]
    hidden, cell = (np.zeros(units), np.zeros(units)) if first is None else map(np.copy, first)
    out = np.zeros((units, x.shape[1]))
    steps = range(x.shape[1])
    for t in reversed(steps) if backwards else steps:
        gates = [
            bias[g]
            + sum(w_ih[g, p] * x[p, t] for p in range(x.shape[0]))
            + sum(w_hh[g, u] * hidden[u] for u in range(units))
            for g in range(4 * units)
        ]
        for u in range(units):
            forget, new = sigmoid(gates[units + u]), math.tanh(gates[2 * units + u])
            cell[u] = forget * cell[u] + sigmoid(gates[u]) * new
        hidden = np.array(
            [sigmoid(gates[3 * units + u]) * math.tanh(c) for u, c in enumerate(cell)]
        )
        out[:, t] = hidden
    return out


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    """Over the features of each column; variance biased, 1e-5 added."""
    out = np.zeros_like(x)
    for t in range(x.shape[1]):
        column = x[:, t]
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        out[:, t] = (column - mean) / math.sqrt(variance + 1e-5) * weight + bias
    return out


def affine(x: Array, weight: Array, bias: Array) -> Array:
    return product(weight, x) + bias[:, None]


def multi_head_attention(query: Array, other: Array, w: Mapping[str, Array], heads: int) -> tuple:
    """Scaled dot-product attention in ``heads`` slices; returns the output and its weights."""
    d = len(query)
    width = d // heads
    parts = [
        affine(x, w["in_proj_weight"][n * d : (n + 1) * d], w["in_proj_bias"][n * d : (n + 1) * d])
        for n, x in enumerate((query, other, other))
    ]
    q, k, v = parts
    out = np.zeros_like(q)
    weights = np.zeros((heads, query.shape[1], other.shape[1]))
    for head in range(heads):
        rows = range(head * width, (head + 1) * width)
        for t in range(query.shape[1]):
            logits = [
                sum(q[p, t] * k[p, s] for p in rows) / math.sqrt(width)
                for s in range(other.shape[1])
            ]
            total = sum(math.exp(logit) for logit in logits)
            for s, logit in enumerate(logits):
                weights[head, t, s] = math.exp(logit) / total
                for p in rows:
                    out[p, t] += weights[head, t, s] * v[p, s]
    return affine(out, w["out_proj.weight"], w["out_proj.bias"]), weights


def positions(d: int, length: int) -> Array:
    """Sines at even features, cosines at odd ones, one frequency a pair."""
    out = np.zeros((d, length))
    for t in range(length):
        for p in range(d):
            angle = t / 10_000.0 ** ((p - p % 2) / d)
            out[p, t] = math.cos(angle) if p % 2 else math.sin(angle)
    return out
