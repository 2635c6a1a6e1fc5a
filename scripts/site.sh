#!/usr/bin/env bash
# Builds the documentation as a site in build/site, with the program given as the first argument: mkdocs.
set -euo pipefail

# Version 12 of mermaid is not available as a single file.
mermaid=mermaid@11.17.2
checksum=581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8

mkdir -p build
if [ ! -e build/mermaid.min.js ]; then
    echo "Fetching $mermaid, which draws the diagrams"
    archive=build/$(npm pack --silent --pack-destination build "$mermaid")
    tar --extract --gzip --file "$archive" --to-stdout package/dist/mermaid.min.js >build/mermaid.part
    rm "$archive"
    echo "$checksum  build/mermaid.part" | sha256sum --check --quiet
    mv build/mermaid.part build/mermaid.min.js
fi
"$1" build --quiet
echo "The site is in build/site: python3 -m http.server --directory build/site"
