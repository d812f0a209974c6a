# Read by the shell that begins for a tool call (as its BASH_ENV), and by none that it begins.
if [ ! -e "$SIGNALBOX_GATE" ]; then
    echo "This run is being stopped. Nothing more can be started; end your turn." >&2
    exit 126
fi
unset BASH_ENV SIGNALBOX_GATE
