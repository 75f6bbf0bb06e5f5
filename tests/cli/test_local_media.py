"""Files by their paths: pictures by their bytes, sounds in chunks, and one clear error for whatever is wrong."""

from pathlib import Path

import pytest

from dealquest.cli.local_media import LocalMedia, check_file
from dealquest.errors import InputError, LimitError, NotFoundError

pytestmark = pytest.mark.anyio
WEBP = b"RIFF\x00\x00\x00\x00WEBP"


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"\xff\xd8\xff\xe0", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF89a", "image/gif"), (WEBP, "image/webp")],
)
async def test_a_picture_has_the_type_of_its_bytes(tmp_path: Path, data: bytes, kind: str) -> None:
    """Whatever its name says, it comes whole and with the type that a model is told."""
    path = tmp_path / "picture.txt"
    path.write_bytes(data + b"\x00" * 100_000)
    found = await LocalMedia().fetch({"path": str(path)}, max_bytes=200_000)
    assert (found.media_type, len(found.data)) == (kind, len(data) + 100_000)
    with pytest.raises(LimitError, match="larger than 0 MB"):
        await LocalMedia().fetch({"path": str(path)}, max_bytes=70_000)


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh", b"RIFF\x00\x00\x00\x00WAVE"], ids=["empty", "script", "sound"])
async def test_what_is_no_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    """An ending makes no picture, and a sound of the same family is none either."""
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match="no JPEG, PNG, GIF or WebP"):
        await LocalMedia().fetch({"path": str(path)}, max_bytes=1000)


async def test_a_sound_comes_in_chunks(tmp_path: Path) -> None:
    """A long recording is never in memory as a whole."""
    path = tmp_path / "pitch.ogg"
    path.write_bytes(b"x" * 150_000)
    chunks = [chunk async for chunk in LocalMedia().stream({"path": str(path)})]
    assert len(chunks) > 2
    assert b"".join(chunks) == b"x" * 150_000


async def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, to a folder, to a device or through a zero byte is said before anything is read."""
    found: tuple[tuple[Path, type[Exception]], ...] = (
        (tmp_path / "none", NotFoundError),
        (tmp_path, InputError),
        (Path("/dev/zero"), InputError),
        (Path("a\0b"), NotFoundError),
    )
    for path, error in found:
        with pytest.raises(error):
            check_file(path)
    with pytest.raises(InputError):
        await LocalMedia().fetch({}, max_bytes=10)
    # It can be looked at and opened, and fails when it is read.
    with pytest.raises(NotFoundError, match="can be read"):
        _ = [chunk async for chunk in LocalMedia().stream({"path": "/proc/self/mem"})]
