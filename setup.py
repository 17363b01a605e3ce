"""Installs the three top-level folders as ``mcuprune/_share/*``; all metadata is in pyproject.toml."""

from setuptools import find_packages, setup

SHARED = ("codegen", "firmware_templates", "boards")

setup(
    packages=[
        *find_packages(include=["mcuprune", "mcuprune.*"]),
        *(f"mcuprune._share.{name}" for name in SHARED),
    ],
    package_dir={f"mcuprune._share.{name}": name for name in SHARED},
    package_data={
        "": ["py.typed", "*.json", "*.toml", "*.j2", "*.css"],
        **{f"mcuprune._share.{name}": ["**/*"] for name in SHARED},
    },
    exclude_package_data={"": ["**/__pycache__/*", "__pycache__/*", "*.pyc"]},
)
