"""The catalog of workflow definitions: the shipped ones, and those of a team's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from core.agent.definitions.definition import BadDefinition, parse_definition
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition

_SHIPPED = Path(__file__).parent / "workflows"


@dataclass(frozen=True)
class Catalog:
    """All available workflow definitions.

    Attributes:
        all: The definitions, sorted by name.
    """

    all: tuple[WorkflowDefinition, ...]

    def get(self, name: str) -> WorkflowDefinition:
        """Return the definition with this name or alias, ignoring case.

        Raises:
            UnknownWorkflow: If there is none; the error suggests the most similar name.
        """
        key = name.strip().lower()
        by_name = self._by_name()
        found = by_name.get(key)
        if found is None:
            matches = get_close_matches(key, sorted(by_name), n=1, cutoff=0.6)
            known = tuple(definition.name for definition in self.all)
            aliases = {definition.name: definition.aliases for definition in self.all}
            nearest = matches[0] if matches else None
            raise UnknownWorkflow(name, known, nearest, aliases=aliases)
        return found

    @property
    def names(self) -> frozenset[str]:
        """Every name and alias."""
        return frozenset(self._by_name())

    def _by_name(self) -> Mapping[str, WorkflowDefinition]:
        return {
            name: definition
            for definition in self.all
            for name in (definition.name, *definition.aliases)
        }


def load_catalog(extra: Path | None = None) -> Catalog:
    """Read the shipped definitions, and those of the folder `extra`.  Blocking.

    A definition in `extra` replaces a shipped one of the same name, and may take over the alias
    of a shipped one.  Two files in one folder may not use the same name or alias.

    Raises:
        BadDefinition: If a file is invalid; the error names the file and the key, and says what
            to write.
    """
    definitions = _read_folder(_SHIPPED)
    if extra is not None:
        definitions = _merge(definitions, _read_folder(extra))
    return Catalog(all=tuple(definitions[name] for name in sorted(definitions)))


def _read_folder(folder: Path) -> dict[str, WorkflowDefinition]:
    if not folder.is_dir():
        raise BadDefinition(
            folder.name, None, "is not a folder; set SIGNALBOX_WORKFLOWS to one, or unset it"
        )
    read: dict[str, WorkflowDefinition] = {}
    claimed: dict[str, str] = {}
    for path in sorted(folder.glob("*.md")):
        if path.name.startswith((".", "_")) or path.stem == "README":
            continue
        definition = _read_file(path)
        for name in (definition.name, *definition.aliases):
            if name in claimed:
                raise BadDefinition(
                    path.name,
                    "aliases",
                    f"claims `{name}`, which `{claimed[name]}` has already; choose another",
                )
            claimed[name] = path.name
        read[definition.name] = definition
    return read


def _read_file(path: Path) -> WorkflowDefinition:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDefinition(
            path.name, None, "cannot be read; it must be a UTF-8 text file"
        ) from error
    return parse_definition(path.name, text)


def _merge(
    shipped: Mapping[str, WorkflowDefinition], extra: Mapping[str, WorkflowDefinition]
) -> dict[str, WorkflowDefinition]:
    """Merge both; names and aliases used by `extra` are removed from the shipped aliases."""
    taken = {
        name for definition in extra.values() for name in (definition.name, *definition.aliases)
    }
    for definition in extra.values():
        for alias in definition.aliases:
            if alias in shipped and alias not in extra:
                raise BadDefinition(
                    f"{definition.name}.md",
                    "aliases",
                    f"claims `{alias}`, a shipped workflow; to replace that one, "
                    f"name your file `{alias}.md`",
                )
    merged = {name: _without_aliases(shipped[name], taken) for name in shipped}
    return merged | dict(extra)


def _without_aliases(definition: WorkflowDefinition, taken: set[str]) -> WorkflowDefinition:
    return replace(
        definition,
        aliases=tuple(alias for alias in definition.aliases if alias not in taken),
    )
