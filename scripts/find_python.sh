#!/usr/bin/env bash
# Prints the path of an installed Python of one version: find_python.sh 3.12. The exit status is 1 if there is none.
#
# pyenv puts commands for all its versions on the PATH; they work only for versions that are switched on, so its own
# directories are searched too.
set -euo pipefail

version=$1
for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python"$version"; do
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        command -v "$candidate"
        exit
    fi
done
exit 1
