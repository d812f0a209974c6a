"""Which programs outside the system's directories agents see, and what beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.agent.process.toolchains import find_toolchains

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt")


def make(folder: Path, *names: str) -> None:
    """Files, or directories if the name ends with a slash."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def shown(
    folder: Path, *search_path: str, home: Path = Path("/nonexistent"), hidden: str = "hidden"
) -> set[str]:
    """What is shown of a folder for a `PATH` of directories in it."""
    found = find_toolchains(
        ":".join(str(folder / one) for one in search_path),
        system=SYSTEM,
        homes=[home],
        hidden=folder / hidden,
    )
    return {
        str(Path(path).relative_to(folder))
        for path in found.paths
        if Path(path).is_relative_to(folder)
    }


def test_of_an_application_only_what_programs_need_is_shown(tmp_path: Path) -> None:
    make(tmp_path / "app", "bin/tool", "lib/", "share/", "include/", ".env", "config/", "src/")
    make(tmp_path / "app", "etc/npmrc", "data/", "library/")

    assert shown(tmp_path, "app/bin") == {"app/bin", "app/lib", "app/share", "app/include"}


TOOLCHAINS = {
    "node": (
        ("bin/node", "lib/node_modules/npm/", "include/", "share/", "README.md"),
        {"bin", "lib", "include", "share"},
    ),
    "virtual environment": (
        ("bin/python", "lib/python3.12/", "pyvenv.cfg", "pip.conf"),
        {"bin", "lib", "pyvenv.cfg"},
    ),
    "pyenv": (
        ("bin/pyenv", "libexec/", "versions/3.12.1/", "version", "pyenv.d/", "plugins/", ".git/"),
        {"bin", "libexec", "versions", "version", "pyenv.d", "plugins"},
    ),
    "Go": (
        ("bin/go", "src/", "pkg/tool/", "VERSION", "go.env", "lib/", "misc/", "doc/"),
        {"bin", "src", "pkg", "VERSION", "go.env", "lib", "misc"},
    ),
    "the programs of a Go user": (("bin/tool", "src/own/", "pkg/mod/"), {"bin"}),
    "Java": (
        ("bin/java", "lib/", "conf/", "jmods/", "release", "demo/"),
        {"bin", "lib", "conf", "jmods", "release"},
    ),
    "Conda": (
        ("bin/conda", "conda-meta/", "lib/", "ssl/", "etc/", "envs/", "pkgs/", ".condarc"),
        {"bin", "conda-meta", "lib", "ssl", "etc", "envs"},
    ),
    "Homebrew": (
        ("bin/git", "Cellar/", "opt/", "lib/", "etc/", "var/", ".env"),
        {"bin", "Cellar", "opt", "lib", "etc"},
    ),
    "Composer": (
        ("bin/phpunit", "composer/installed.json", "autoload.php", "phpunit/", ".env"),
        {"bin", "composer", "autoload.php", "phpunit"},
    ),
    "a cross compiler": (
        ("bin/arm-none-eabi-gcc", "lib/gcc/", "arm-none-eabi/lib/", "my-notes"),
        {"bin", "lib", "arm-none-eabi"},
    ),
}


@pytest.mark.parametrize("kind", TOOLCHAINS)
def test_a_toolchain_is_shown_with_all_that_it_needs(tmp_path: Path, kind: str) -> None:
    names, expected = TOOLCHAINS[kind]
    make(tmp_path / "x", *names)

    assert shown(tmp_path, "x/bin") == {f"x/{name}" for name in expected}


def test_where_programs_are_links_to_is_shown_too(tmp_path: Path) -> None:
    make(tmp_path / "bun", "bin/", "install/global/node_modules/tsc/tsc.js", "cache/")
    (tmp_path / "bun" / "bin" / "tsc").symlink_to("../install/global/node_modules/tsc/tsc.js")

    assert shown(tmp_path, "bun/bin") == {"bun/bin", "bun/install"}


def test_a_link_that_leads_out_of_a_toolchain_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "app/bin/tool", "data/secret", "app/lib/")
    (tmp_path / "app" / "share").symlink_to("../data")
    (tmp_path / "app" / "lib64").symlink_to("lib")

    assert shown(tmp_path, "app/bin") == {"app/bin", "app/lib", "app/lib64"}


def test_the_interpreter_of_a_virtual_environment_is_shown(tmp_path: Path) -> None:
    make(tmp_path, "venv/bin/", "venv/pyvenv.cfg", "python/cpython-3.12.1/bin/python3.12")
    make(tmp_path, "python/cpython-3.12.1/lib/")
    (tmp_path / "python" / "cpython-3.12").symlink_to("cpython-3.12.1")
    # As uv makes it: through a link that follows the newest release.
    (tmp_path / "venv" / "bin" / "python").symlink_to(
        tmp_path / "python" / "cpython-3.12" / "bin" / "python3.12"
    )

    assert shown(tmp_path, "venv/bin") == {
        "venv/bin",
        "venv/pyvenv.cfg",
        "python/cpython-3.12/bin",
        "python/cpython-3.12/lib",
        "python/cpython-3.12.1/bin",
        "python/cpython-3.12.1/lib",
    }


def test_a_directory_of_another_name_is_shown_as_it_is(tmp_path: Path) -> None:
    make(tmp_path, "app/tools/tool", "app/lib/", "home/.cargo/bin/cargo", "home/.cargo/lib/")

    assert shown(tmp_path, "app/tools", "home/.cargo/bin") == {"app/tools", "home/.cargo/bin"}


def test_of_a_home_only_its_programs_are_shown(tmp_path: Path) -> None:
    make(tmp_path, "home/bin/tool", "home/lib/")

    assert shown(tmp_path, "home/bin", "home", home=tmp_path / "home") == {"home/bin"}


@pytest.mark.parametrize("hidden", ["app", "app/share", "app/bin/own", "other"])
def test_signalboxs_own_home_is_never_shown(tmp_path: Path, hidden: str) -> None:
    make(tmp_path, "app/bin/tool", "app/lib/", "app/share/", f"{hidden}/")
    # Also not by another name.
    (tmp_path / "link").symlink_to("app")

    for path in shown(tmp_path, "app/bin", "link/bin", hidden=hidden):
        real = (tmp_path / path).resolve()
        assert not real.is_relative_to(tmp_path / hidden)
        assert not (tmp_path / hidden).is_relative_to(real)
