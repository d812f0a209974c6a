"""`python -m bot`: the same program as `signalbox`."""

from bot.cli.main import main

if __name__ == "__main__":
    main()
