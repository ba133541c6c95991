"""Packaging.  The version is read as text, so that building needs no dependency installed."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "rtserver/__init__.py").read_text())
assert VERSION is not None

setup(
    name="rtserver",
    version=VERSION[1],
    description="Real-time events over plain HTTP, where WebSockets are blocked",
    long_description=(HERE / "README.rst").read_text(),
    long_description_content_type="text/x-rst",
    python_requires=">=3.11",
    packages=find_packages(include=["rtserver", "rtserver.*"]),
    package_data={"rtserver": ["web/*/*"]},
    entry_points={"console_scripts": ["rtserver = rtserver.cli:main"]},
    install_requires=[
        "tornado>=6.5.7,<7",
        "sqlite-utils>=4.1.1,<5",
        "msgspec>=0.20,<1",
        "PyJWT[crypto]>=2.12,<3",
    ],
    extras_require={
        "test": [
            "pytest>=9,<10",
            "pytest-tornado==0.8.1",
            "pytest-xdist>=3.8,<4",
            "hypothesis>=6.150",
            "playwright>=1.60,<2",
            "schemathesis>=4.32,<5",
            "openapi-spec-validator>=0.9,<1",
            "ruff==0.17.*",
            "mypy>=2.3,<3",
        ],
    },
)
