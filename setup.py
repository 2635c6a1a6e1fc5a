"""The layout of the package: the root of the repository is the package `gentrifugo`. See also pyproject.toml.

Wheels and source distributions contain the JavaScript libraries of the web interface, in the versions of
admin/package-lock.json. The build installs them with npm, unless admin/web/vendor already contains them, as in a source
distribution. The build fails if they cannot be installed. An editable installation does not need them.
"""

import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info
from setuptools.command.sdist import sdist
from setuptools.errors import ExecError

NAME = "gentrifugo"
ROOT = Path(__file__).parent
ROOT_MODULES = {"__init__", "__main__", "_version", "testing"}
"""The modules in the root that belong to the package; other files there are not included."""
DIRECTORIES = ("app", "engines", "admin", "client")
"""The directories that belong to the package."""

BUILD = "build"
"""The directory for intermediate files of a build."""

ADMIN = ROOT / "admin"
LOCK = "package-lock.json"
"""The lock file of the libraries in admin/. Its copy beside the installed libraries shows their versions."""


def package_names() -> list[str]:
    """Return the names of the package and of all packages in it."""
    wanted = [pattern for name in DIRECTORIES for pattern in (name, f"{name}.*")]
    return [NAME, *(f"{NAME}.{name}" for name in find_packages(str(ROOT), include=wanted))]


SEND_MANY = Extension(
    f"{NAME}.app.net._send_many",
    ["app/net/_send_many.c", "app/net/_send_jobs.c"],
    depends=["app/net/_send_jobs.h"],
    extra_compile_args=["-O2", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
)
"""The C module for sending. Without a compiler or the header files of Python, the package is installed without it."""


def install_web_libraries() -> None:
    """Install the pinned libraries of the web interface, if they are missing or have other versions.

    Raises ExecError if that fails.
    """
    installed = ADMIN / "web" / "vendor" / LOCK
    if installed.is_file() and installed.read_bytes() == (ADMIN / LOCK).read_bytes():
        return
    try:
        subprocess.run([str(ROOT / "scripts" / "web_libraries.sh")], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ExecError(
            "the libraries of the web interface could not be installed. Building gentrifugo from a clone needs bash, "
            "npm (Node.js 18 or newer) and access to an npm registry; a wheel or a source distribution of gentrifugo "
            "has the libraries in it."
        ) from error


class BuildPackage(build_py):
    """Copies the files of the package into the directory from which the wheel is built."""

    def run(self) -> None:
        """Copy the files, after removing those of an earlier build."""
        if not self.editable_mode:
            install_web_libraries()
            shutil.rmtree(Path(self.build_lib) / NAME, ignore_errors=True)
        super().run()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the modules of one package as (package, module, file)."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [each for each in found if package != NAME or each[1] in ROOT_MODULES]


class WriteMetadata(egg_info):
    """Writes the metadata of the package, which every build needs."""

    def finalize_options(self) -> None:
        """Write the metadata to build/, unless the caller specifies a directory.

        In the root of the repository it would remain after the build. Python prefers metadata in the current directory
        to that of an installed package, so entry points that are added later would be missing there.
        """
        if self.egg_base is None:
            self.egg_base = BUILD
            Path(self.egg_base).mkdir(exist_ok=True)
        super().finalize_options()


class BuildSourceDistribution(sdist):
    """Builds a source distribution with the files in MANIFEST.in."""

    def run(self) -> None:
        """Build it, with the libraries of the web interface."""
        install_web_libraries()
        super().run()

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Collect the files, without the file list that setuptools adds."""
        super().make_release_tree(base_dir, [path for path in files if not path.startswith(f"{BUILD}/")])


setup(
    package_dir={NAME: "."},
    packages=package_names(),
    ext_modules=[SEND_MANY],
    include_package_data=False,  # otherwise all that MANIFEST.in lists would be data of the package in the root
    package_data={
        NAME: ["py.typed"],
        f"{NAME}.app.net": ["*.pyi"],
        f"{NAME}.admin": ["web/*", "web/pages/*", "web/vendor/*/*"],
        f"{NAME}.engines.redis": ["lua/*.lua"],
    },
    cmdclass={"build_py": BuildPackage, "egg_info": WriteMetadata, "sdist": BuildSourceDistribution},
)
