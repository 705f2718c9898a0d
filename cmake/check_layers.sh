#!/bin/sh
# Run at the root of the source tree: the build (target layers) and ctest (tidy.layers) do.
find src -name '*.[ch]' | LC_ALL=C sort | xargs awk -f cmake/check_layers.awk src/LAYERS
