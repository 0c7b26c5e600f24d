"""What the benchmarks of the mesh share: the way to the tests' parts, and how a result is kept."""

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests" / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))


def keep(name: str, figures: dict[str, Any]) -> None:
    """Print a result and write it where results lie, with the machine, the command and the day."""
    document = {
        "how": f"scripts/bench {name}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 1),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        **figures,
    }
    text = json.dumps(document, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
