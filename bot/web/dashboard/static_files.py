"""The dashboard's own files: styles in one bundle, scripts as modules.

The version in their address is a digest of all of them, so that browsers may keep them for ever and
never mix two versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from bot.web.dashboard.headers import ASSET_HEADERS

_FOLDER = Path(__file__).parent / "static"
_TYPES: Mapping[str, str] = MappingProxyType(
    {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
)
ROOT = "/static"
_STYLES = "app.css"
_VERSION_CHARS = 16


@dataclass(frozen=True)
class StaticFiles:
    """All files, read once.

    Attributes:
        files: Name below the version (`js/app.js`) to content.
        version: A digest of all of them.
    """

    files: Mapping[str, bytes]
    version: str

    def url(self, name: str) -> str:
        """The address of a file.

        Raises:
            KeyError: If there is no such file.
        """
        if name not in self.files:
            raise KeyError(name)
        return f"{ROOT}/{self.version}/{name}"

    def routes(self) -> list[web.RouteDef]:
        """The route of the files."""
        return [web.get(f"{ROOT}/{{version}}/{{name:.+}}", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        content = self.files.get(name)
        if content is None or request.match_info["version"] != self.version:
            raise web.HTTPNotFound
        response = web.Response(
            body=content,
            content_type=_TYPES[Path(name).suffix],
            charset="utf-8",
            headers=ASSET_HEADERS,
        )
        response.enable_compression()
        return response


@cache
def static_files() -> StaticFiles:
    """The files of this program."""
    files = {
        path.relative_to(_FOLDER).as_posix(): path.read_bytes()
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _TYPES and path.suffix != ".css"
    }
    styles = sorted((_FOLDER / "css").glob("*.css"))
    files[_STYLES] = b"\n".join(path.read_bytes() for path in styles)
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return StaticFiles(MappingProxyType(files), digest.hexdigest()[:_VERSION_CHARS])
