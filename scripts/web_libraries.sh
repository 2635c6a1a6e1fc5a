#!/usr/bin/env bash
# Puts the libraries that admin/package.json names beside the web interface, each with its licence.
# Without npm, or without a registry, the interface does without them: its pages say so.
set -euo pipefail
cd "$(dirname "$0")/../admin"

if ! command -v npm >/dev/null; then
    echo "npm is not installed: the web interface will have no plots and no JSON editor until make install finds it" >&2
    exit 0
fi
echo "Installing the libraries of admin/package-lock.json beside the web interface"
if ! npm ci --ignore-scripts --loglevel=error >/dev/null; then
    echo "npm has failed: the web interface has no plots and no JSON editor until make install succeeds" >&2
    exit 0
fi

rm -rf web/vendor.part web/vendor
mkdir -p web/vendor.part/uplot web/vendor.part/ace
uplot=node_modules/uplot ace=node_modules/ace-builds
cp "$uplot/LICENSE" "$uplot/dist/uPlot.esm.js" web/vendor.part/uplot/
cp "$ace/LICENSE" "$ace/css/ace.css" "$ace"/css/main-*.png "$ace"/css/main-*.svg web/vendor.part/ace/
cp "$ace/src-min-noconflict/ace.js" "$ace/src-min-noconflict/mode-json.js" web/vendor.part/ace/
cp "$uplot/dist/uPlot.min.css" web/vendor.part/uplot/
mv web/vendor.part web/vendor
rm -rf node_modules
