"""The team's notes: Markdown files, shown to a model whole where they fit a token budget, else by their best sections.

The files are read again when one changes. Whatever stands in them is data: no link is followed and no directive is obeyed.
The full-text search is PostgreSQL's; the notes are stored for it under the checksum of all files.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import attrs
import msgspec
from anyio import to_thread

from dealquest.errors import InputError

from .dialogue import Consulted
from .effects import Looks
from .prose import clean_text

DEFAULT_BUDGET_TOKENS = 6_000
MAX_FILES = 200
MAX_FILE_BYTES = 1_000_000
MAX_SECTION_CHARACTERS = 3_000
"""A longer section is cut into pieces, so that one of them never eats the whole budget."""

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*\Z")
_CODE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LANGUAGE = re.compile(r"\.([a-z]{2,3}(?:-[A-Za-z]{2,8})?)\Z")


@attrs.frozen(kw_only=True)
class Section:
    """A heading and what stands under it."""

    file: str
    heading: str
    body: str
    language: str = "en"

    @property
    def shown(self) -> str:
        """As a model reads it."""
        return f"## {self.heading} ({self.file})\n{self.body}" if self.heading else f"## {self.file}\n{self.body}"

    @property
    def tokens(self) -> int:
        """About how many tokens it costs."""
        return estimate_tokens(self.shown)


@attrs.frozen(kw_only=True)
class Notes:
    """All sections of all files, in order, and what they were made from."""

    checksum: str
    sections: tuple[Section, ...]

    @property
    def tokens(self) -> int:
        """About how many tokens all of it costs."""
        return sum(section.tokens for section in self.sections)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: one for three bytes, which is rather too many than too few in every script.

    >>> estimate_tokens("discovery before price")
    8
    """
    return -(-len(text.encode("utf-8", "replace")) // 3)


def split_markdown(text: str, *, file: str, language: str = "en") -> list[Section]:
    r"""Cut a Markdown text at its headings; a `#` inside a code block is none.

    >>> [(part.heading, part.body) for part in split_markdown("intro\n# Price\nask first\n## Later\nwait", file="a")]
    [('', 'intro'), ('Price', 'ask first'), ('Price / Later', 'wait')]
    """
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    code = ""

    def close() -> None:
        body = "\n".join(lines).strip()
        heading = " / ".join(title for _, title in path)[:200]
        sections.extend(Section(file=file, heading=heading, body=piece, language=language) for piece in _pieces(body))
        lines.clear()

    for line in clean_text(text).split("\n"):
        fence = _CODE.match(line)
        if fence is not None and not code:
            code = fence.group(1)
        elif fence is not None and fence.group(1).startswith(code):
            code = ""
        heading = None if code or fence is not None else _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        close()
        depth = len(heading.group(1))
        path = [*((known, title) for known, title in path if known < depth), (depth, heading.group(2)[:120])]
    close()
    return sections


def choose_sections(sections: Sequence[Section], nearest: Sequence[int], *, budget_tokens: int) -> list[Section]:
    """The nearest sections that fit the budget, then the first of the others; in the order in which they were written."""
    chosen: set[int] = set()
    left = budget_tokens
    for place in dict.fromkeys([*nearest, *range(len(sections))]):
        if 0 <= place < len(sections) and (cost := sections[place].tokens) <= left:
            chosen.add(place)
            left -= cost
    return [sections[place] for place in sorted(chosen)]


def read_folder(folder: Path) -> Notes:
    """Read every Markdown file of a folder; `*.example.md` and hidden files are left out.

    The language of a file stands before its ending, as in `playbook.de.md`; English where none does.

    Raises:
        InputError: `coach.knowledge.unreadable`: the folder or a file cannot be read, or is far too large.
    """
    digest = hashlib.sha256()
    sections: list[Section] = []
    for path in _files(folder):
        try:
            raw = path.read_bytes()
        except OSError as exc:
            raise InputError(f"The note {path.name} cannot be read ({exc.strerror}).", code="coach.knowledge.unreadable") from exc
        if len(raw) > MAX_FILE_BYTES:
            raise InputError(f"The note {path.name} has more than {MAX_FILE_BYTES:,} bytes; split it.", code="coach.knowledge.unreadable")
        digest.update(f"{path.name}\0{len(raw)}\0".encode() + raw)
        language = _LANGUAGE.search(path.stem)
        sections += split_markdown(raw.decode("utf-8", "replace"), file=path.name, language=language.group(1) if language else "en")
    return Notes(checksum=digest.hexdigest(), sections=tuple(sections))


class NotesFolder:
    """A folder of notes behind `coach.effects.Knowledge`.

    Args:
        folder: Where the files are.
        records: Finds sections by words; see `store_knowledge` and `find_knowledge` of the migrations.
        budget_tokens: Most tokens of what is shown.
    """

    def __init__(self, folder: Path, records: Looks, *, budget_tokens: int = DEFAULT_BUDGET_TOKENS) -> None:
        self._folder = folder
        self._records = records
        self._budget_tokens = budget_tokens
        self._stamp: object = None
        self._notes = Notes(checksum="", sections=())

    async def consult(self, query: str) -> Consulted:
        """What the notes say on something; see `coach.effects.Knowledge`."""
        notes = await to_thread.run_sync(self._fresh_notes)
        sections: Sequence[Section] = notes.sections
        if notes.tokens > self._budget_tokens:
            nearest = await self._records.rpc("find_knowledge", of_checksum=notes.checksum, query=query)
            if nearest is None:
                await self._records.rpc("store_knowledge", of_checksum=notes.checksum, sections=msgspec.to_builtins(notes.sections))
                nearest = await self._records.rpc("find_knowledge", of_checksum=notes.checksum, query=query)
            sections = choose_sections(notes.sections, nearest or [], budget_tokens=self._budget_tokens)
        headings = (heading for section in sections for heading in (section.heading, section.heading.rsplit(" / ", 1)[-1]) if heading)
        return Consulted(text="\n\n".join(section.shown for section in sections), headings=tuple(dict.fromkeys(headings)))

    def _fresh_notes(self) -> Notes:
        """The notes, read again if a file came, went or changed."""
        try:
            stamp = [(path, (found := path.stat()).st_mtime_ns, found.st_size) for path in _files(self._folder)]
        except OSError as exc:
            raise InputError(f"The notes in {self._folder} cannot be read ({exc.strerror}).", code="coach.knowledge.unreadable") from exc
        if stamp != self._stamp:
            self._notes = read_folder(self._folder)
            self._stamp = stamp
        return self._notes


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"The folder of notes {folder} is not there; see KNOWLEDGE_DIR.", code="coach.knowledge.unreadable")
    files = sorted(
        path for path in folder.glob("*.md") if path.is_file() and not path.name.startswith(".") and not path.stem.endswith(".example")
    )
    if len(files) > MAX_FILES:
        raise InputError(f"The folder of notes holds more than {MAX_FILES} files; join some.", code="coach.knowledge.unreadable")
    return files


def _pieces(body: str) -> list[str]:
    """A body in pieces of a readable size: cut between paragraphs, and inside one only where it is too long by itself."""
    pieces: list[str] = []
    for paragraph in re.split(r"\n{2,}", body):
        for start in range(0, len(paragraph), MAX_SECTION_CHARACTERS):
            part = paragraph[start : start + MAX_SECTION_CHARACTERS]
            if pieces and start == 0 and len(pieces[-1]) + len(part) + 2 <= MAX_SECTION_CHARACTERS:
                pieces[-1] += "\n\n" + part
            else:
                pieces.append(part)
    return [piece for piece in pieces if piece.strip()]
