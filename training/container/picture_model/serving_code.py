"""The serving code in model.tar.gz: the entry script inference.py and this package."""

import shutil
from pathlib import Path

PACKAGE = Path(__file__).parent
ENTRY_SCRIPT = PACKAGE.parent / "inference.py"


def copy_serving_code(code: Path) -> list[Path]:
    """Copy the serving code into `code`; return the paths of the copies, relative to `code`."""
    copies = [Path(ENTRY_SCRIPT.name)]
    copies += [Path(PACKAGE.name, module.name) for module in sorted(PACKAGE.glob("*.py"))]
    (code / PACKAGE.name).mkdir(parents=True, exist_ok=True)
    for copy in copies:
        shutil.copyfile(PACKAGE.parent / copy, code / copy)
    return copies
