#!/usr/bin/env bash
# Installs the libraries that admin/package-lock.json pins into admin/web/vendor, each with its licence, and a copy of the
# lock file, which says which versions these are. Exit status 1 if npm is missing or fails; then nothing is changed.
set -euo pipefail
cd "$(dirname "$0")/../admin"

fail() {
    echo "$1: the libraries of the web interface are not installed" >&2
    exit 1
}

command -v npm >/dev/null || fail "npm is missing"
echo "Installing the libraries of admin/package-lock.json beside the web interface"
npm ci --ignore-scripts --loglevel=error >/dev/null || fail "npm has failed"

rm -rf web/vendor.part
mkdir -p web/vendor.part/uplot web/vendor.part/ace
uplot=node_modules/uplot ace=node_modules/ace-builds
cp "$uplot/LICENSE" "$uplot/dist/uPlot.esm.js" "$uplot/dist/uPlot.min.css" web/vendor.part/uplot/
cp "$ace/LICENSE" "$ace/css/ace.css" "$ace"/css/main-*.png "$ace"/css/main-*.svg web/vendor.part/ace/
cp "$ace/src-min-noconflict/ace.js" "$ace/src-min-noconflict/mode-json.js" web/vendor.part/ace/
cp package-lock.json web/vendor.part/
rm -rf web/vendor
mv web/vendor.part web/vendor
rm -rf node_modules
