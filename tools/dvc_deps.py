"""Write into dvc.yaml the source files that each stage imports: `python -m tools.dvc_deps`.

DVC reruns a stage when a file among its `deps` changes; tests/test_dvc_yaml.py fails when the
lists do not agree with the code.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]
OURS = ("pipeline", "stages")


def file_of(module: str) -> Path | None:
    """Return the source of one of our modules, from the root of the repository; None if none."""
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((c for c in candidates if (REPOSITORY / c).is_file()), None)


def imported_by(file: Path) -> set[str]:
    """Return what `file` imports from our packages; some may be functions and not modules."""
    names = set()
    for node in ast.walk(ast.parse((REPOSITORY / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: import by the full name"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] in OURS}


def sources_of(module: str) -> set[str]:
    """Return every source file that runs when `module` is imported."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if file is None or str(file) in found:
            continue
        found.add(str(file))
        parts = name.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
        waiting += imported_by(file)
    return found


def module_of(stage: Mapping[str, Any]) -> str:
    """Return the module that a stage of dvc.yaml runs."""
    command = re.fullmatch(r"sh stages/run (\w+)( \S+)?", stage["cmd"])
    assert command, stage["cmd"]
    return f"stages.{command[1]}"


def main() -> None:
    yaml = YAML()
    yaml.width = 100
    path = REPOSITORY / "dvc.yaml"
    content = yaml.load(path)
    for stage in content["stages"].values():
        others = [dep for dep in stage["deps"] if not str(dep).endswith(".py")]
        stage["deps"][:] = others + sorted(sources_of(module_of(stage)))
    yaml.dump(content, path)


if __name__ == "__main__":
    main()
