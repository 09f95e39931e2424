"""A run on extracted features, for the commands that ask one."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from iaca.runs.runs import Run


@pytest.fixture(scope="session")
def run(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A gated model trained for a moment on the miniature; nobody changes it."""
    from media import named_stand_ins

    from iaca.extraction import pipeline
    from iaca.extraction.affwild2 import scan_folder
    from iaca.extraction.making import ExtractionConfig
    from iaca.learning.config import TrainingConfig
    from iaca.models.regressor import ModelConfig
    from iaca.runs.execution import execute_run
    from iaca.runs.runs import RunConfig
    from iaca.sources.loading import DataConfig

    output = tmp_path_factory.mktemp("build") / "private"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_backbones", named_stand_ins)
        sources = scan_folder(miniature).sources
        options = ExtractionConfig(weights=("random", "random"), stride=8)
        pipeline.extract(sources, output / "data" / "affwild2", options)
    config = RunConfig(
        DataConfig("affwild2"),
        ModelConfig(fusion="iaca", dim=8, window=4),
        TrainingConfig(epochs=1, batch_size=4, hop=1),
    )
    return execute_run(config, output, device="cpu")
