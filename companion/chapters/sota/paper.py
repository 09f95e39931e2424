"""Table 1 of the paper, and what of it was published otherwise."""

from typing import NamedTuple

Pair = tuple[float, float]  # CCC of valence, of arousal


class Entry(NamedTuple):
    """A row of the paper's Table 1, as printed.

    Attributes:
        method: who, in the paper's words.
        reference: its number in the paper's list; None for the paper's own model.
        fusion: "Type of Fusion".
        validation: CCC on Aff-Wild2's validation set.
        test: CCC on its test set.
    """

    method: str
    reference: int | None
    fusion: str
    validation: Pair
    test: Pair


class Published(NamedTuple):
    """A result on the test set of a challenge: the pair, and the mean by which teams are ranked."""

    test: Pair
    mean: float


PAPER_TABLE_1 = (
    Entry("Zhang et al.", 24, "Leader Follower Attention", (0.469, 0.649), (0.463, 0.492)),
    Entry("Karas et al.", 25, "LSTM + Transformers", (0.388, 0.551), (0.418, 0.407)),
    Entry("Meng et al.", 23, "LSTM + Transformers", (0.605, 0.668), (0.606, 0.596)),
    Entry("Zhou et al.", 26, "TCN + Transformers", (0.550, 0.680), (0.566, 0.500)),
    Entry("Zhang et al.", 27, "Transformers", (0.648, 0.705), (0.523, 0.545)),
    Entry("Praveen et al.", 3, "JCA", (0.657, 0.580), (0.451, 0.389)),
    Entry("Praveen et al.", 2, "RJCA", (0.721, 0.694), (0.467, 0.405)),
    Entry("Ours", None, "RJCA + IACA", (0.749, 0.725), (0.505, 0.474)),
)


# Which edition of the ABAW challenge an entry was tested in. The paper does not say it; the titles
# of the entries' papers, or what they took part in, do. Of the last three rows we do not know it.
EDITIONS = {24: "ABAW2", 25: "ABAW3", 23: "ABAW3", 26: "ABAW5", 27: "ABAW5"}


# The ABAW5 challenge's results, as reference [26] prints them for itself and other teams. The
# abstract of [27] has its mean, too, and second place.
PUBLISHED_TEST = {26: Published((0.5008, 0.6325), 0.5666), 27: Published((0.6486, 0.6258), 0.6372)}


# Validation of [26] in its own paper: Table 1 prints it cut off after three decimals, not rounded.
VALIDATION_OF_26 = (0.5505, 0.6809)


# Another Zhang et al. in the same challenge (Ziyang Zhang et al., 2023): not in the paper's list.
# The abstract of their published paper has this mean, too, and fifth place.
NAMESAKE = Published((0.5234, 0.5451), 0.5342)
