"""Notebook `03_training`: what models that read one clip at a time score on a reader's data."""

from collections.abc import Sequence

from torch import Tensor

from companion.analysis.inference import ccc_of_sums, moments
from companion.analysis.ridge import MODALITIES, ridge_predictions
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split

FLOORS = {
    **{f"ridge, {modality}": (modality,) for modality in MODALITIES},
    "ridge, both": tuple(MODALITIES),
}
ROWS = 200_000  # clips; the fit holds them all in memory


def floors(folds: Sequence[tuple[RecordingStore, Split]]) -> list[dict[str, str]]:
    """A row of texts for each ridge regression; none where the data do not fit into memory.

    Fitted in closed form, the penalty chosen on ``select``, folds put together.
    """
    store, _ = folds[0]
    if sum(entry.rows for entry in store.entries.values()) > ROWS:
        return []
    rows = []
    for name, modalities in FLOORS.items():
        read: dict[str, Tensor] = {}
        for fold in folds:
            read |= ridge_predictions(*fold, modalities)
        scores = ccc_of_sums(moments([read], store).sums[0].sum(dim=0)).tolist()
        texts = (f"{score:.3f}".replace("-", "−") for score in scores)
        rows.append({"arm": name, **dict(zip(store.info.labels, texts, strict=True))})
    return rows
