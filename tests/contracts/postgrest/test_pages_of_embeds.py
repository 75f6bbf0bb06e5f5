"""What the page of resource embedding says: keys of every kind, views of views, partitions, functions as relationships, spreads."""

from replay import Case, replay
from test_pages_of_tables import CONFIG, FULL


async def test_keys_of_every_kind(fair: str) -> None:
    """A unique key makes one-to-one, a junction's key may hold more columns, a key may be composite or on the table itself."""
    await replay(
        fair,
        [
            Case("GET /covers?select=colour,books(title)&id=eq.1", [{"colour": "red", "books": {"title": "Seas"}}]),
            Case(
                "GET /books?select=title,readers(name)&readers.order=name&id=eq.1",
                [{"title": "Seas", "readers": [{"name": "Rae"}, {"name": "Sol"}]}],
            ),
            Case(
                "GET /readers?select=loans(days,books(title))&loans.order=days&id=eq.1",
                [{"loans": [{"days": 3, "books": {"title": "Seas"}}, {"days": 5, "books": {"title": "Hills"}}]}],
            ),
            Case("GET /books?select=title,author:authors(name)&id=eq.1", [{"title": "Seas", "author": {"name": "Ann"}}]),
        ],
        CONFIG,
    )


async def test_functions_as_relationships(fair: str) -> None:
    """A function relates rows where keys cannot say which way, one or many, and goes before a key of the same name."""
    await replay(
        fair,
        [
            Case(
                "GET /authors?select=name,teacher(name),pupil(name)&id=eq.2",
                [{"name": "Bob", "teacher": {"name": "Ann"}, "pupil": {"name": "Cid"}}],
            ),
            Case("GET /authors?select=name,teacher(name)&id=eq.1", [{"name": "Ann", "teacher": None}]),
            Case(
                "GET /readers?select=name,fans(name),stars(name)&id=eq.2",
                [{"name": "Sol", "fans": [{"name": "Rae"}, {"name": "Ann"}], "stars": [{"name": "Rae"}]}],
            ),
            Case("GET /readers?select=name,fans!inner(name)&fans.name=eq.Ann", [{"name": "Sol", "fans": [{"name": "Ann"}]}]),
            Case("GET /books?select=title,covers(colour)&id=eq.1", [{"title": "Seas", "covers": {"colour": "RED"}}]),
            Case("GET /books?select=title,...covers(colour)&id=eq.1", [{"title": "Seas", "colour": "RED"}]),
            Case("GET /rpc/fans", status=404),
        ],
        CONFIG,
    )


async def test_partitions(fair: str) -> None:
    """A partitioned table joins as a whole; its parts are no tables of the API."""
    await replay(
        fair,
        [
            Case(
                "GET /sales?select=day,sum,books(title)&sum=gte.10&order=day",
                [
                    {"day": "2020-05-05", "sum": 10, "books": {"title": "Seas"}},
                    {"day": "2021-05-05", "sum": 20, "books": {"title": "Seas"}},
                ],
            ),
            Case("GET /books?select=sales(sum)&sales.order=sum&id=eq.1", [{"sales": [{"sum": 10}, {"sum": 20}]}]),
            Case("GET /sales_old", status=404),
            Case("GET /books?select=sales_old(sum)", status=400),
        ],
        CONFIG,
    )


async def test_keys_through_views(fair: str) -> None:
    """A view has the keys of its columns, also through views of the search path but of no other schema; a kept view, too."""
    written = [{"title": "Seas", "authors": {"name": "Ann"}}]
    await replay(
        fair,
        [
            *(
                Case(f"GET /{view}?select=title,authors(name)&id=eq.1", written)
                for view in ("titles", "titles_of_titles", "beyond_the_shown", "kept")
            ),
            Case("GET /beyond_the_hidden?select=title,authors(name)", status=400),
            Case(
                "GET /authors?select=name,titles_of_titles(id)&titles_of_titles.order=id&id=eq.1",
                [{"name": "Ann", "titles_of_titles": [{"id": 1}, {"id": 2}]}],
            ),
            Case(
                "GET /loans_of_books?select=title,books!loans_book_id_fkey(id),covers(colour),readers(name)&days=eq.5",
                [{"title": "Hills", "books": {"id": 2}, "covers": {"colour": "blue"}, "readers": [{"name": "Rae"}]}],
            ),
            Case("GET /titles?select=title,loans(days)&id=eq.2", [{"title": "Hills", "loans": [{"days": 5}]}]),
        ],
        CONFIG,
    )


async def test_joins_after_calls_and_writes(fair: str) -> None:
    """The rows of a function and the rows that a write touched embed as those of their table."""
    await replay(
        fair,
        [
            Case("GET /rpc/all_books?select=title,authors(name)&title=like.*oo*", [{"title": "Woods", "authors": {"name": "Bob"}}]),
            Case(
                "POST /books?select=title,author:authors(name)",
                [{"title": "Caves", "author": {"name": "Cid"}}],
                201,
                {"id": 9, "title": "Caves", "author_id": 3},
                headers=FULL,
            ),
            Case(
                "PATCH /books?id=eq.1&select=title,readers(name)&readers.order=name.desc",
                [{"title": "Bays", "readers": [{"name": "Sol"}, {"name": "Rae"}]}],
                200,
                {"title": "Bays"},
                headers=FULL,
            ),
            Case(
                "DELETE /loans?book_id=eq.3&select=days,books(title),readers(name)",
                [{"days": 1, "books": {"title": "Woods"}, "readers": {"name": "Ann"}}],
                headers=FULL,
            ),
        ],
        CONFIG,
    )


async def test_conditions_in_embeds(fair: str) -> None:
    """Two embeds of one table are told apart by their aliases, at any depth; conditions on embeds can be joined by or."""
    both = "GET /books?select=title,one:readers(),two:authors(),readers(name),authors(name)&one.name=eq.Ann&two.name=eq.Ann"
    await replay(
        fair,
        [
            Case(
                "GET /books?select=id,short:loans(days),long:loans(days)&short.days=lt.5&long.days=gt.5&id=eq.1",
                [{"id": 1, "short": [{"days": 3}], "long": [{"days": 9}]}],
            ),
            Case(
                "GET /authors?select=name,b:books(id,l:loans(days))&b.order=id&b.l.order=days.desc&b.l.limit=1&b.limit=2&id=eq.1",
                [{"name": "Ann", "b": [{"id": 1, "l": [{"days": 9}]}, {"id": 2, "l": [{"days": 5}]}]}],
            ),
            Case(
                "GET /authors?select=books(loans(days))&books.loans.days=gt.4&books.loans.order=days&books.id=eq.1&id=eq.1",
                [{"books": [{"loans": [{"days": 9}]}]}],
            ),
            Case(
                f"{both}&or=(one.not.is.null,two.not.is.null)&readers.order=id&order=id",
                [
                    {"title": "Seas", "readers": [{"name": "Rae"}, {"name": "Sol"}], "authors": {"name": "Ann"}},
                    {"title": "Hills", "readers": [{"name": "Rae"}], "authors": {"name": "Ann"}},
                    {"title": "Woods", "readers": [{"name": "Ann"}], "authors": {"name": "Bob"}},
                ],
            ),
            Case("GET /books?select=title,authors()&authors.name=eq.Bob&authors=not.is.null", [{"title": "Woods"}]),
            Case(
                "GET /books?select=title,loans(days)&loans=not.is.null&order=id&limit=1",
                [{"title": "Seas", "loans": [{"days": 3}, {"days": 9}]}],
            ),
            Case("GET /books?select=title,loans(days)&loans.days=eq.1&order=id&limit=1", [{"title": "Seas", "loans": []}]),
            Case(
                "GET /books?select=title,authors(name)&order=authors(name).desc.nullslast,title&limit=2",
                [{"title": "Woods", "authors": {"name": "Bob"}}, {"title": "Hills", "authors": {"name": "Ann"}}],
            ),
        ],
        CONFIG,
    )


async def test_spreads(fair: str) -> None:
    """Lists of spread columns agree in their order, which may be asked for, at every depth; a spread of one lifts its columns."""
    await replay(
        fair,
        [
            Case(
                "GET /authors?select=name,...books(titles:title,ids:id)&books.order=title&id=eq.1",
                [{"name": "Ann", "titles": ["Hills", "Seas"], "ids": [2, 1]}],
            ),
            Case(
                "GET /authors?select=name,...books(titles:title,...covers(colours:colour),...loans(days:days))"
                "&books.order=title.desc&books.loans.order=days.desc&id=eq.1",
                [{"name": "Ann", "titles": ["Seas", "Hills"], "colours": ["RED", "BLUE"], "days": [[9, 3], [5]]}],
            ),
            Case("GET /books?select=title,...readers(names:name)&readers.order=name&id=eq.1", [{"title": "Seas", "names": ["Rae", "Sol"]}]),
            Case(
                "GET /books?select=title,loans(days,...readers(name))&loans.order=days&id=eq.1",
                [{"title": "Seas", "loans": [{"days": 3, "name": "Rae"}, {"days": 9, "name": "Sol"}]}],
            ),
            Case(
                "GET /books?select=title,...authors(by:name,...teacher(under:name))&id=eq.3",
                [{"title": "Woods", "by": "Bob", "under": "Ann"}],
            ),
        ],
        CONFIG,
    )
