#!/bin/sh
# The SDK starts a program by its path alone; this one hands over to `launch.py`.
exec "$SIGNALBOX_AGENT_PYTHON" -I -S "${0%.sh}.py" "$@"
