"""Which packages a wheel holds: the manifests, which stand at the top, go into `iaca`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["iaca*", "companion*"]), "iaca.manifests"],
    package_dir={"iaca.manifests": "data_manifests"},
    package_data={"iaca.manifests": ["*.yaml"]},
)
