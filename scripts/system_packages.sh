#!/usr/bin/env bash
# Checks that the programs given as arguments are installed: system_packages.sh python node chromium ...
#
# As root on a Debian-like system, it installs missing ones with apt-get. Otherwise it prints what is missing and how to
# install it, and the exit status is 1.
set -euo pipefail

python=${PYTHON:-python3}

# Checks whether a program is installed in a suitable version.
has() {
    case $1 in
    python) command -v "$python" && "$python" -c 'import ensurepip, venv' ;;
    c-compiler) command -v gcc && "$python" - <<<'import os, sysconfig; os.stat(sysconfig.get_paths()["include"] + "/Python.h")' ;;
    node) command -v npm && node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' ;;
    # Debian keeps these in a directory that is not on every user's PATH.
    nginx | haproxy | logrotate) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

# Prints the Debian packages that contain a program.
packages_of() {
    case $1 in
    python) echo python3 python3-venv ;;
    c-compiler) echo gcc libc6-dev python3-dev ;;
    node) echo nodejs npm ;;
    systemd-analyze) echo systemd ;;
    rpmbuild) echo rpm ;;
    dpkg-deb) echo dpkg ;;
    *) echo "$1" ;;
    esac
}

check_python_version() {
    "$python" - <<'END'
import sys

if sys.version_info < (3, 11):
    sys.exit(f"Gentrifugo needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
             "Name a newer one with `make PYTHON=/path/to/python3 ...`.")
END
}

install() {
    echo "Installing system packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

missing=()
packages=()
for part in "$@"; do
    if ! has "$part"; then
        missing+=("$part")
        read -ra names <<<"$(packages_of "$part")"
        packages+=("${names[@]}")
    fi
done

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        install "${packages[@]}"
    else
        echo "Missing on this machine: ${missing[*]}" >&2
        echo "On Debian or Ubuntu: sudo apt-get install ${packages[*]}" >&2
        echo "Elsewhere: install the packages of these names, then run make again." >&2
        exit 1
    fi
    for part in "${missing[@]}"; do
        has "$part" || { echo "Still missing, or too old, after installing ${packages[*]}: $part" >&2; exit 1; }
    done
fi

case " $* " in *" python "*) check_python_version ;; esac
