# The shell of a tool call reads this as its BASH_ENV; the shells that it starts do not.
if [ ! -e "$SIGNALBOX_GATE" ]; then
    echo "This run is being stopped. Nothing more can be started; end your turn." >&2
    exit 126
fi
unset BASH_ENV SIGNALBOX_GATE
