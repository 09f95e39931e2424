"""What a manifest may say: strict, frozen models of the YAML files in ``data_manifests/``.

Unknown keys are refused, addresses must be https, and paths stay inside their folder.
"""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from iaca.base.files import check_name


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError("expected two finite numbers, the lower first")
    return pair


def _fold_count(folds: object) -> object:
    if folds != "leave_one_out" and (type(folds) is not int or folds < 2):
        raise ValueError("expected a whole number of at least 2, or 'leave_one_out'")
    return folds


Name = Annotated[str, AfterValidator(check_name)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Url = Annotated[str, StringConstraints(pattern=r"^https://[^/\s]+(/\S*)?$")]
# Relative, with '/', and no part that starts with '.'.
Inside = Annotated[str, StringConstraints(pattern=r"^[^./\\][^/\\]*(/[^./\\][^/\\]*)*$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """A licence's name and where its text is."""

    name: Text
    url: Url


class RemoteFile(_Strict):
    """A file of the data set; ``path`` is relative, in the mirror and in the downloads alike."""

    path: Inside
    url: Url
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(gt=0)]


class Modality(_Strict):
    """Features a clip and what extracts them."""

    dim: Annotated[int, Field(gt=0)]
    extractor: Text


class Features(_Strict):
    """Both modalities' features."""

    audio: Modality
    visual: Modality


class Labels(_Strict):
    """Targets in column order, their range, and the number that stands for "not valid"."""

    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    range: Annotated[tuple[Finite, Finite], AfterValidator(_ascending)]
    invalid: Finite | None = None


class FixedSplit(_Strict):
    """Each recording carries its role."""

    kind: Literal["fixed"]


class SubjectFolds(_Strict):
    """Each fold reports on other subjects; ``select`` is cut from the remaining ones."""

    kind: Literal["subject_folds"]
    folds: Annotated[int | Literal["leave_one_out"], BeforeValidator(_fold_count)]
    select_share: Share
    seed: Seed


class Counts(_Strict):
    """Videos in each official part, as a publication gives them."""

    train: int
    validation: int
    test: int


class OfficialSplit(_Strict):
    """``report`` is the official validation set; ``select`` is cut from the official training set.

    ``expected`` is what the paper says; the folders that the data set's owners hand out decide.
    """

    kind: Literal["official"]
    select_share: Share
    seed: Seed
    expected: Counts
    note: Text


ManifestSplit = FixedSplit | SubjectFolds | OfficialSplit


class Latent(_Strict):
    """Stationary unit-variance Ornstein-Uhlenbeck processes, squashed by ``tanh(gain x)``."""

    valence_time_constant: Positive  # clips until the autocorrelation falls to 1/e
    arousal_time_constant: Positive  # clips
    gain: Positive


class Embedding(_Strict):
    """How one modality shows the latents."""

    dim: Count  # features
    hidden: Count  # units of the random tanh layer
    valence_weight: NonNegative
    arousal_weight: NonNegative
    noise: NonNegative  # standard deviation a feature; the signal's is 1
    subject_offset: NonNegative  # standard deviation over subjects, a feature


class States(_Strict):
    """How complementarity is weakened.

    ``corrupted``, ``conflicting`` and ``dominating`` are the relative frequencies of the kinds of
    weak episodes; each is split evenly over the modalities.
    """

    dwell: Annotated[float, Field(gt=1, allow_inf_nan=False)]  # mean clips of a weak episode
    corrupted: Positive
    conflicting: Positive
    dominating: Positive
    attenuation: Annotated[float, Field(ge=0, le=1)]  # factor on the signal of a corrupted clip
    extra_noise: Annotated[float, Field(ge=1, allow_inf_nan=False)]  # factor on its noise


class Sizes(_Strict):
    """Subjects a split, recordings a subject, clips a recording."""

    train: Count
    select: Count
    report: Count
    recordings: Count
    clips: Count


class Benchmark(_Strict):
    """Every constant of the bundled benchmark's generator, see `iaca.sources.synthetic`."""

    sizes: Sizes
    frame_rate: Positive  # clips a second
    latent: Latent
    audio: Embedding
    visual: Embedding
    visual_lag: Seed  # clips by which the face trails the voice
    states: States
    central_share: Annotated[float, Field(ge=0, lt=1)]
    dial: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1)]
    tolerance: Positive  # of the realised share, in every split
    data_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]


class Manifest(_Strict):
    """Everything the project knows of a data set before it has it.

    ``notices`` is text that must be shown with whatever is derived from the data. ``mirror`` names
    the data set's folder inside ``IACA_DATA_MIRROR``; ``store`` is the folder of a prepared store,
    relative to the manifest. ``access``: the package makes it, it is downloaded, it is behind a
    licence form, or it is the reader's own.
    """

    name: Name
    title: Text
    description: Text
    citation: Text | None = None
    licence: Licence
    access: Literal["bundled", "open", "gated", "local"]
    licence_form: Url | None = None
    how_to_ask: Text | None = None
    layout: Text | None = None
    notices: tuple[Text, ...] = ()
    mirror: Name | None = None
    store: Text | None = None
    files: tuple[RemoteFile, ...] = ()
    features: Features | None = None
    labels: Labels | None = None
    split: Annotated[ManifestSplit, Field(discriminator="kind")] | None = None
    benchmark: Benchmark | None = None

    @model_validator(mode="after")
    def _access_fits(self) -> "Manifest":
        if self.access == "gated" and not (self.licence_form and self.how_to_ask):
            raise ValueError("access 'gated' expects the keys licence_form and how_to_ask")
        if (self.access == "open") != bool(self.files):
            raise ValueError(f"access {self.access!r}: files belong to 'open', and to it alone")
        paths = {file.path for file in self.files}
        if len(paths) != len(self.files):
            raise ValueError(f"files: a path is given twice among {sorted(paths)}")
        return self
