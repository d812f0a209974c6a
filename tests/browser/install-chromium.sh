#!/bin/sh
# Make sure that the browser tests find a Chromium.  On Debian, as root, it is installed, if possible
# without the parts that only a desktop needs; elsewhere those tests are skipped with a message,
# except in CI, where they fail.
set -u
has() { command -v "$1" >/dev/null 2>&1; }
installed() { apt-get install -y -qq --no-install-recommends "$@" fonts-liberation fonts-noto-color-emoji >/dev/null; }

has chromium-headless-shell && exit 0
# Not every distribution has that package.
has chromium && ! apt-cache show chromium-headless-shell >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && has apt-get; then
    echo "installing Debian's Chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null
    installed chromium-headless-shell && exit 0
    has chromium || { installed chromium && exit 0; }
fi
for name in chromium chromium-browser google-chrome; do
    has "$name" && exit 0
done
echo "no chromium found: the browser tests will be skipped" >&2
[ "${CI:-}" != true ]
