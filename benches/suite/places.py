"""Where things are, and folders that are made once for the same ingredients."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHES = ROOT / "benches"
CACHE = ROOT / ".cache" / "benches"
NABLAC = ROOT / "target" / "release" / "nablac"


def made_once(kind: str, ingredients: list[bytes | str | Path], make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills; an earlier one if all ingredients are the same. Files count by what they hold."""
    digest = hashlib.sha256()
    for ingredient in ingredients:
        data = ingredient.read_bytes() if isinstance(ingredient, Path) else ingredient
        digest.update(hashlib.sha256(data.encode() if isinstance(data, str) else data).digest())
    place = CACHE / "made" / f"{kind}-{digest.hexdigest()[:16]}"
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=place.parent))
    try:
        make(draft)
        os.replace(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place
