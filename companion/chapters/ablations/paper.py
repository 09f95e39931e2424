"""Table 2 of the paper."""

# CCC on Aff-Wild2's validation set: without IACA, with IACA.
PAPER_TABLE_2 = {
    "CA": {"valence": (0.541, 0.632), "arousal": (0.517, 0.597)},
    "TCA": {"valence": (0.564, 0.637), "arousal": (0.543, 0.629)},
    "JCA": {"valence": (0.657, 0.693), "arousal": (0.580, 0.609)},
    "RJCA": {"valence": (0.721, 0.749), "arousal": (0.694, 0.725)},
}
