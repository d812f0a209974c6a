#!/bin/sh
# The SDK takes a path without arguments, so this script runs `launch.py` with its options.
exec "$SIGNALBOX_AGENT_PYTHON" -I -S "${0%.sh}.py" "$@"
