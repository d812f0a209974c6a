"""The child process that runs the chart library: `python -m bot.charts.child program|pictures`.

The library brings a whole JavaScript engine, whose memory the program itself shall never hold.
`program` prints what draws charts in a browser, compressed.  `pictures` reads a list of charts and
prints their PNGs, each after its length in four bytes.
"""

from __future__ import annotations

import gzip
import json
import resource
import struct
import sys

import vl_convert

# Writable memory; the engine reserves many gigabytes that it never touches.
_MAX_BYTES = 1_000_000_000
_COMPRESSION = 9
# Pixels for each unit of a chart, so that letters are sharp on every screen.
_SCALE = 2.0
# Only this of the bundle is used.  It is a classic script: nothing else leaves it.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def main(mode: str) -> None:
    """Do one of the two, and end."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_BYTES, _MAX_BYTES))
    if mode == "program":
        bundle = vl_convert.javascript_bundle(_SNIPPET)
        # Without a time, the same program is the same bytes.
        sys.stdout.buffer.write(gzip.compress(bundle.encode(), _COMPRESSION, mtime=0))
        return
    for spec in json.load(sys.stdin.buffer):
        # It asks nothing of any address: the data are in the chart.
        picture = vl_convert.vegalite_to_png(spec, scale=_SCALE, allowed_base_urls=[])
        sys.stdout.buffer.write(struct.pack(">I", len(picture)) + picture)


if __name__ == "__main__":
    main(sys.argv[1])
