#!/usr/bin/env bash
# Writes requirements*.txt anew, with uv, the program given as the first argument: every pin, a pin for each package that
# these need as well, and the hashes of all files of these versions.
#
# The versions stay as they are. To change one, or to add a package, edit its line (NAME==VERSION), then run this. The
# hashes are those of the index and not of this machine: they cover all systems and all versions of Python.
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

# The file's own comment, and the file that it includes.
head_of() {
    sed '/^[^#-]/,$d' "$1"
}

lock() {
    local file=$1 options=() name
    if grep -q "^-r $base" "$file"; then
        options+=(--constraints "$base")
        while read -r name; do
            options+=(--no-emit-package "${name%%==*}")
        done < <(pins_of "$base")
    fi
    pins_of "$file" >"$work/pins.txt"
    "$uv" pip compile --quiet --no-config --default-index "$index" --python-version "$(python_of "$file")" \
        --generate-hashes --no-header --no-annotate "${options[@]}" \
        --output-file "$work/locked.txt" "$work/pins.txt" >/dev/null
    { head_of "$file" && cat "$work/locked.txt"; } >"$work/$file"
    mv "$work/$file" "$file"
    rm "$work/locked.txt"
    echo "$file: $(pins_of "$file" | wc -l) packages"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in "$base" requirements-bench.txt requirements-dev.txt requirements-docs.txt; do
    lock "$file"
done
