#!/usr/bin/env bash
# Renders the reference pages of every library module from its doc comments into .build-docs/<Module>.doccarchive.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v docc >/dev/null || { echo "docs: no docc on the PATH; it comes with the Swift toolchain" >&2; exit 1; }

rm -rf .build-docs/graphs .build-docs/*.doccarchive
mkdir -p .build-docs/graphs
swift build --scratch-path .build-docs/build -Xswiftc -emit-symbol-graph -Xswiftc -emit-symbol-graph-dir -Xswiftc "$PWD/.build-docs/graphs"

for catalog in .build-docs/graphs/Strata*.symbols.json; do
  module="$(basename "$catalog" .symbols.json)"
  case "$module" in *@* | StrataRequirements) continue ;; esac
  mkdir -p ".build-docs/graphs/$module"
  mv .build-docs/graphs/"$module".symbols.json ".build-docs/graphs/$module/"
  for extension in .build-docs/graphs/"$module"@*.symbols.json; do
    if [ -e "$extension" ]; then mv "$extension" ".build-docs/graphs/$module/"; fi
  done
  sources="$(find Sources -type d -name "${module#Strata}.docc" | head -1)"
  docc convert ${sources:+"$sources"} --fallback-display-name "$module" --fallback-bundle-identifier "strata.$module" \
    --additional-symbol-graph-dir ".build-docs/graphs/$module" --output-path ".build-docs/$module.doccarchive"
  echo "docs: .build-docs/$module.doccarchive"
done
echo "docs: read one with: docc preview, or serve its folder with: python3 -m http.server -d .build-docs/<Module>.doccarchive"
