#!/bin/sh
# Make sure that the tests can check metrics and alert rules as Prometheus does.  On Debian, as
# root, the program `promtool` is taken out of the package `prometheus`, whose installation would
# start a server; elsewhere these tests are skipped, except in CI, where this fails.
set -u
command -v promtool >/dev/null 2>&1 && exit 0
take_promtool() {
    folder=$(mktemp -d) || return 1
    chmod 755 "$folder"
    (
        cd "$folder" && apt-get update -qq && apt-get download -qq prometheus \
            && dpkg-deb -x prometheus_*.deb content \
            && install -m 755 content/usr/bin/promtool /usr/local/bin/promtool
    ) >/dev/null 2>&1
    result=$?
    rm -rf "$folder"
    return $result
}
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "taking promtool out of Debian's prometheus for the tests of metrics"
    take_promtool && exit 0
fi
echo "no promtool found: the tests of metrics with it will be skipped" >&2
[ "${CI:-}" != true ]
