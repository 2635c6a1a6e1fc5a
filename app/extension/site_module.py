"""Says why the module of an application was not found, or why it was not the one in the current directory.

Flask derives the name of a module from its file, and puts the packages in front of it that contain the directory.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class SiteModule:
    """The module in which an application is expected."""

    given: str
    """The module, or the path of its file, as it is given to the command."""
    name: str
    """The name with which it is imported, with the packages that contain it."""
    root: Path
    """The directory that is searched first."""

    def describe_missing(self) -> str:
        """Return that the module is not found, where it was expected, and the next step if that is known."""
        if other := self.describe_other():
            return f"module {self.name!r} not found{other}"
        file = self.root.joinpath(*self.name.split(".")).with_suffix(".py")
        if self.name.endswith(f".{self.given}") and Path("__init__.py").exists():
            return (
                f"module {self.given!r} not found: there is no file {file}, and because {Path.cwd()} has an "
                "__init__.py, only this package is searched; start the command in another directory, or give the path "
                "of the file"
            )
        link = f", to which {self.given} is a link" if Path(self.given).is_symlink() else ""
        return f"module {self.name!r} not found: there is no file {file}{link}"

    def describe_other(self) -> str:
        """Return, as the end of a sentence, which other module has the same name; empty if none is known."""
        top = self.name.partition(".")[0]
        found = sys.modules.get(top) if self.given else None
        file, folder = self.root / f"{top}.py", self.root / top
        own_places = {place.resolve() for place in (file, folder, folder / "__init__.py")}
        if found is None or _places(found) & own_places:
            return ""
        is_standard = top in sys.stdlib_module_names
        other = "a module of the standard library" if is_standard else f"an installed module, {found.__file__}"
        own = folder if folder.is_dir() else file
        if own.exists():
            return f"; {top!r} is {other}, which was imported instead of {own}; rename the latter"
        if is_standard:
            return f"; {top!r} is {other}, and there is no file {file}; start the command in the directory of the file"
        return ""


def _places(module: ModuleType) -> set[Path]:
    """Return the file and the directories of a module; empty if it is a part of the interpreter."""
    names = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return {Path(name).resolve() for name in names if name is not None}
