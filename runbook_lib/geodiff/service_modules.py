"""
Modules of the services, loaded from the sources of their image: what is deployed is what a
simulation runs, and what checks a tile before it is decoded here.
"""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.project import GEO_DIFF

PACKAGE = GEO_DIFF / "images" / "geo-diff" / "geodiff"


@cache
def service_module(name: str, package: Path = PACKAGE) -> ModuleType:
    """
    Load a module of the services' package: `png`, `policy` (rules, `decide`) or `queue_rates`.

    The package is loaded from its folder; the import path of this process stays as it is.
    """
    if not (package / f"{name}.py").is_file():
        raise NotFoundError(
            f"expected the services' module {name} at {package}; it is not there",
            next_step="run from a checkout of the project, with stacks/geo-diff in it",
        )
    if package.name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            package.name, package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[package.name] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{package.name}.{name}")
