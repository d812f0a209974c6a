"""The error for a wrong setting."""

from core.domain.errors import OpsError


class BadSetting(OpsError):
    """A wrong setting, which prevents the start: one line that names it and how to fix it."""

    code = "bad_setting"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}", user_message=f"{name}: {problem}")
        self.name = name
        self.problem = problem
