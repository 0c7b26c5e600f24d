"""The layers hold, and every module stands on its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MODULES = sorted(
    path.relative_to(REPOSITORY) for folder in ("appliance", "web") for path in (REPOSITORY / folder).rglob("*.py")
)


def dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_layers_and_other_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([lint_imports], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_module_can_be_imported_first() -> None:
    # One process for all: before each module the earlier ones are forgotten, so that each is the first to be imported.
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for known in [m for m in sys.modules if m.split('.')[0] in ('appliance', 'web')]:\n"
        "        del sys.modules[known]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        print(f'{name}: {type(error).__name__}: {error}')\n"
    )
    names = [dotted(path) for path in MODULES if path.name != "__main__.py"]
    command = [sys.executable, "-c", program, *names]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize("hardware", ["alsaaudio", "gpsd", "systemd", "tflite_runtime", "ai_edge_litert"])
def test_no_module_needs_hardware_libraries_to_be_imported(hardware: str) -> None:
    offenders = [str(path) for path in MODULES if hardware in top_level_imports(REPOSITORY / path)]
    assert offenders == []


def top_level_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        if isinstance(statement, ast.Import):
            names |= {alias.name.split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            names.add((statement.module or "").split(".")[0])
    return names


def test_every_package_says_what_it_is() -> None:
    silent = [
        str(path)
        for path in MODULES
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse((REPOSITORY / path).read_text("utf-8")))
    ]
    assert silent == []
