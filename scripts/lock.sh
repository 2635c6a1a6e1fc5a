#!/usr/bin/env bash
# Writes requirements*.txt anew, with uv, the program given as the first argument: every pin, a pin for each package that
# these or pyproject.toml need as well, and the hashes of all files of these versions.
#
# Pinned versions stay as they are. To change one, or to add a package, edit its line (NAME==VERSION), then run this. A
# package that only pyproject.toml names gets its newest version there. A pin outside the ranges of pyproject.toml is an
# error. The hashes are those of the index and not of this machine: they cover all systems and all versions of Python.
set -euo pipefail

uv=$1
unset "${!UV_@}"
index=${PIP_INDEX_URL:-https://pypi.org/simple}
base=requirements.txt

# The oldest Python that installs a file. Some packages are needed only by 3.11.0 to 3.11.2, and Debian 12 has 3.11.2;
# what builds the documentation needs 3.11.5 itself.
python_of() {
    case $1 in
    requirements-docs.txt) echo 3.11.5 ;;
    *) echo 3.11.0 ;;
    esac
}

pins_of() {
    sed -n 's/^\([A-Za-z0-9][^ ;\\]*==[^ ;\\]*\).*/\1/p' "$1"
}

# The file's own comments, and the file that it includes.
head_of() {
    grep -E '^(#|-r )' "$1"
}

# Fails for a line that is not understood. Without this check, a package without a version would be dropped.
check() {
    local bad
    if bad=$(grep -nEv '^(#.*|-r .*|[A-Za-z0-9][^ ;\\]*==[^ ;\\]+( \\)?|    --hash=.*|)$' "$1"); then
        echo "$1:$bad: expected NAME==VERSION" >&2
        exit 1
    fi
}

lock() {
    local file=$1 sources=("$work/pins.txt") options=() name
    if [ "$file" = "$base" ]; then
        sources+=(pyproject.toml)
        options+=(--all-extras)
    elif grep -q "^-r $base" "$file"; then
        options+=(--constraints "$base")
        while read -r name; do
            options+=(--no-emit-package "${name%%==*}")
        done < <(pins_of "$base")
    fi
    pins_of "$file" >"$work/pins.txt"
    "$uv" pip compile --quiet --no-config --default-index "$index" --python-version "$(python_of "$file")" \
        --generate-hashes --no-header --no-annotate "${options[@]}" \
        --output-file "$work/locked.txt" "${sources[@]}" >/dev/null
    { head_of "$file" && cat "$work/locked.txt"; } >"$work/$file"
    mv "$work/$file" "$file"
    rm "$work/locked.txt"
    echo "$file: $(pins_of "$file" | wc -l) packages"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
files=("$base" requirements-bench.txt requirements-dev.txt requirements-docs.txt)
for file in "${files[@]}"; do
    check "$file"
done
for file in "${files[@]}"; do
    lock "$file"
done
