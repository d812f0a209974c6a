#!/bin/sh
# Make sure that the tests can isolate agents.  On Debian, as root, bubblewrap is installed;
# elsewhere agents are not isolated and the tests of isolation are skipped, except in CI, where
# this fails.
set -u
command -v bwrap >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Debian's bubblewrap for the tests of isolation"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends bubblewrap; } >/dev/null \
        && exit 0
fi
echo "no bubblewrap found: the tests of isolation will be skipped" >&2
[ "${CI:-}" != true ]
