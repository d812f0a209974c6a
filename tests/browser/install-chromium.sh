#!/bin/sh
# Make sure that the browser tests find a Chromium.  On Debian, as root, it is installed;
# elsewhere those tests are skipped with a message, except in CI, where they fail.
set -u
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Debian's chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation fonts-noto-color-emoji; } >/dev/null \
        && exit 0
fi
echo "no chromium found: the browser tests will be skipped" >&2
[ "${CI:-}" != true ]
