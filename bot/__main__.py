"""The program's entry: `signalbox`, or `python -m bot`."""

from core.process_protection import protect_process


def main() -> None:
    """Protect this process, then run the command line."""
    protect_process()
    # Not at the top: these imports take most of the start, with the secrets in the environment.
    from bot.cli.main import main as run_command_line  # noqa: PLC0415

    run_command_line()


if __name__ == "__main__":
    main()
