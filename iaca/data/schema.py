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
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
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
Url = Annotated[str, Field(pattern=r"^https://[^/\s]+(/\S*)?$")]
# Relative, with '/', and no part that starts with '.'.
Inside = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*(/[^./\\][^/\\]*)*$")]
Share = Annotated[float, Field(gt=0, lt=1)]
Dial = Annotated[float, Field(ge=0, lt=1)]


class _Strict(BaseModel):
    """Texts are stripped and not empty, numbers are finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,
        str_min_length=1,
    )


class Licence(_Strict):
    """A licence's name and where its text is."""

    name: str
    url: Url


class RemoteFile(_Strict):
    """A file of the data set; ``path`` is relative, in the mirror and in the downloads alike."""

    path: Inside
    url: Url
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: PositiveInt


class Modality(_Strict):
    """Features a clip and what extracts them."""

    dim: PositiveInt
    extractor: str


class Features(_Strict):
    """Both modalities' features."""

    audio: Modality
    visual: Modality


class Labels(_Strict):
    """Targets in column order, their range, and the number that stands for "not valid"."""

    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    range: Annotated[tuple[float, float], AfterValidator(_ascending)]
    invalid: float | None = None


class FixedSplit(_Strict):
    """Each recording carries its role."""

    kind: Literal["fixed"]


class SubjectFolds(_Strict):
    """Each fold reports on other subjects; ``select`` is cut from the remaining ones."""

    kind: Literal["subject_folds"]
    folds: Annotated[int | Literal["leave_one_out"], BeforeValidator(_fold_count)]
    select_share: Share
    seed: NonNegativeInt


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
    seed: NonNegativeInt
    expected: Counts
    note: str


ManifestSplit = FixedSplit | SubjectFolds | OfficialSplit


class Latent(_Strict):
    """Stationary unit-variance Ornstein-Uhlenbeck processes, squashed by ``tanh(gain x)``."""

    valence_time_constant: PositiveFloat  # clips until the autocorrelation falls to 1/e
    arousal_time_constant: PositiveFloat  # clips
    gain: PositiveFloat


class Embedding(_Strict):
    """How one modality shows the latents."""

    dim: PositiveInt  # features
    hidden: PositiveInt  # units of the random tanh layer
    valence_weight: NonNegativeFloat
    arousal_weight: NonNegativeFloat
    noise: NonNegativeFloat  # standard deviation a feature; the signal's is 1
    subject_offset: NonNegativeFloat  # standard deviation over subjects, a feature


class States(_Strict):
    """How complementarity is weakened.

    ``corrupted``, ``conflicting`` and ``dominating`` are the relative frequencies of the kinds of
    weak episodes; each is split evenly over the modalities.
    """

    dwell: Annotated[float, Field(gt=1)]  # mean clips of a weak episode
    corrupted: PositiveFloat
    conflicting: PositiveFloat
    dominating: PositiveFloat
    attenuation: Annotated[float, Field(ge=0, le=1)]  # factor on the signal of a corrupted clip
    extra_noise: Annotated[float, Field(ge=1)]  # factor on its noise


class Sizes(_Strict):
    """Subjects a split, recordings a subject, clips a recording."""

    train: PositiveInt
    select: PositiveInt
    report: PositiveInt
    recordings: PositiveInt
    clips: PositiveInt


class Benchmark(_Strict):
    """Every constant of the bundled benchmark's generator, see `iaca.sources.synthetic`."""

    sizes: Sizes
    frame_rate: PositiveFloat  # clips a second
    latent: Latent
    audio: Embedding
    visual: Embedding
    visual_lag: NonNegativeInt  # clips by which the face trails the voice
    states: States
    central_share: Dial
    dial: Annotated[tuple[Dial, ...], Field(min_length=1)]
    tolerance: PositiveFloat  # of the realised share, in every split
    data_seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]


class Affect(_Strict):
    """Affect that recurs: episodes of a few prototypes, drawn for each recording, and a jitter.

    ``jitter`` is the deviation of an autoregressive process's innovations, ``memory`` its
    coefficient.
    """

    axes: Annotated[int, Field(ge=2)]  # of affect; the first is valence, the second arousal
    prototypes: Annotated[int, Field(ge=2)]  # of a recording
    episode: Annotated[float, Field(ge=1)]  # mean clips
    jitter: NonNegativeFloat
    memory: Annotated[float, Field(ge=0, lt=1)]
    gain: PositiveFloat  # of tanh, in the labels

    @property
    def variance(self) -> float:
        """Variance of an axis over recordings: a prototype's 1 and the stationary jitter's."""
        return 1.0 + self.jitter**2 / (1.0 - self.memory**2)


class View(_Strict):
    """How one modality shows affect: a random tanh layer, and a random linear one on top."""

    dim: PositiveInt  # features
    hidden: PositiveInt  # units of the tanh layer
    gain: PositiveFloat  # of the tanh
    bias: NonNegativeFloat  # standard deviation
    valence_weight: NonNegativeFloat  # the other axes have weight 1
    arousal_weight: NonNegativeFloat
    noise: NonNegativeFloat  # standard deviation a feature; the signal's is 1


class Episodes(_Strict):
    """Every constant of the benchmark with recurring affect, see `iaca.sources.episodes`."""

    sizes: Sizes
    frame_rate: PositiveFloat  # clips a second
    affect: Affect
    audio: View
    visual: View
    states: States
    central_share: Dial
    dial: Annotated[tuple[Dial, ...], Field(min_length=1)]
    tolerance: PositiveFloat  # of the realised share, in every split


class Manifest(_Strict):
    """Everything the project knows of a data set before it has it.

    ``notices`` is text that must be shown with whatever is derived from the data. ``mirror`` names
    the data set's folder inside ``IACA_DATA_MIRROR``; ``store`` is the folder of a prepared store,
    relative to the manifest. ``access``: the package makes it, it is downloaded, it is behind a
    licence form, or it is the reader's own.
    """

    name: Name
    title: str
    description: str
    citation: str | None = None
    licence: Licence
    access: Literal["bundled", "open", "gated", "local"]
    licence_form: Url | None = None
    how_to_ask: str | None = None
    layout: str | None = None
    notices: tuple[str, ...] = ()
    mirror: Name | None = None
    store: str | None = None
    files: tuple[RemoteFile, ...] = ()
    features: Features | None = None
    labels: Labels | None = None
    split: Annotated[ManifestSplit, Field(discriminator="kind")] | None = None
    benchmark: Benchmark | None = None
    episodes: Episodes | None = None

    @property
    def made(self) -> Benchmark | Episodes | None:
        """The constants of data that the package generates, whose states are known."""
        return self.benchmark or self.episodes

    @model_validator(mode="after")
    def _access_fits(self) -> "Manifest":
        if self.access == "gated" and not (self.licence_form and self.how_to_ask):
            raise ValueError("access 'gated' expects the keys licence_form and how_to_ask")
        if (self.access == "open") != bool(self.files):
            raise ValueError(f"access {self.access!r}: files belong to 'open', and to it alone")
        if self.benchmark and self.episodes:
            raise ValueError("benchmark and episodes: expected one of them")
        paths = {file.path for file in self.files}
        if len(paths) != len(self.files):
            raise ValueError(f"files: a path is given twice among {sorted(paths)}")
        return self
