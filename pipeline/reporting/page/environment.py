"""What the page was made with: versions and machine; no time, no path, no name of a host."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "numba",
    "pillow",
    "opencv-contrib-python-headless",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "matplotlib",
    "dvc",
)
"""Those that can move a figure, and what drives them."""


def environment() -> tuple[tuple[str, str], ...]:
    """Return names and values; the same on the same machine with the same packages."""
    return (
        ("Python", platform.python_version()),
        *((name, found) for name in _PACKAGES if (found := _version(name))),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("processor", _processor()),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
