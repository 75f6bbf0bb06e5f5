"""The Mini App in a real browser: signed in as Telegram does it, with a stand-in for Telegram's script alone."""

import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import httpx
import psycopg
import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, Route, async_playwright, expect
from starlette.types import ASGIApp

from dealquest.compose import Kit
from dealquest.testing import sign_init_data
from dealquest.values import Secret, SystemClock

Loopback = Callable[[ASGIApp], AbstractAsyncContextManager[str]]

BOT = "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
MARA = {"id": 77, "first_name": "Mara <b>", "username": "mara"}
SCRIPT = "https://telegram.org/js/telegram-web-app.js"
STAND_IN = Path(__file__).with_name("telegram_stand_in.js").read_text("utf-8")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ANSWER = (
    "Hello Ines, your second site has lorries queuing down the lane every morning. What does the queue cost you by six? "
    "Sites like yours cut it to 15 minutes with booked slots. Shall we look at your gate on Thursday at 10 for 20 minutes?"
)
LIGHT = {
    "bg_color": "#ffffff",
    "secondary_bg_color": "#efeff4",
    "text_color": "#000000",
    "button_color": "#2481cc",
    "button_text_color": "#ffffff",
}
CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


def browser_path() -> str:
    """A browser of this machine; playwright's own download is not asked for."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("The Mini App's tests need a browser: install `chromium` (Debian: apt-get install chromium), then run them again.")
    return found


@pytest.fixture
def variables() -> dict[str, str]:
    """A bot whose signature counts."""
    return {"TELEGRAM_BOT_TOKEN": BOT}


@attrs.frozen
class Visit:
    """One browser window, and what went wrong in it."""

    page: Page
    base: str
    foreign: list[str]
    problems: list[str]

    async def telegram(self, expression: str) -> Any:
        """Ask the stand-in."""
        return await self.page.evaluate(f"Telegram.WebApp.{expression}")

    async def main_button(self, text: str) -> None:
        """Telegram's main button shows this."""
        await self.page.wait_for_function(
            "(text) => { const b = Telegram.WebApp.MainButton; return b.isVisible && b.isActive && b.text === text; }", arg=text
        )


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all tests here, so that one browser serves them."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    """Chromium, without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(browser: Browser, base: str, **options: Any) -> AsyncIterator[Visit]:
    """A fresh window; the stand-in answers for Telegram's script, everything else that leaves the server is written down."""
    context: BrowserContext = await browser.new_context(viewport={"width": 390, "height": 844}, **options)
    page = await context.new_page()
    visit = Visit(page, base, [], [])

    async def stand_in(route: Route) -> None:
        await route.fulfill(body=STAND_IN, content_type="text/javascript")

    def note(request: Request) -> None:
        if not request.url.startswith((base, "blob:")):
            visit.foreign.append(request.url)

    await page.route(SCRIPT, stand_in)
    page.on("request", note)
    page.on("pageerror", lambda error: visit.problems.append(str(error)))
    page.on("console", lambda message: visit.problems.append(message.text) if message.type == "error" else None)
    yield visit
    await context.close()


def launch(base: str, *, token: str = BOT, theme: dict[str, str] | None = None, **more: str) -> str:
    """The address as Telegram opens it."""
    data = sign_init_data(Secret(token), auth_date=SystemClock().now(), user=MARA)  # type: ignore[arg-type]  # JSON
    values = {"tgWebAppData": data, "tgWebAppVersion": "8.0", "tgWebAppThemeParams": json.dumps(theme or LIGHT), **more}
    return f"{base}/app/#" + "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())


async def test_a_rep_signs_in_learns_and_sees_the_progress(app: ASGIApp, loopback: Loopback, kit: Kit, browser: Browser) -> None:
    """From Telegram's signature to a scored answer and its progress; only Telegram's script comes from elsewhere, nothing goes wrong."""
    async with loopback(app) as base, visiting(browser, base) as visit:
        page = visit.page
        await page.goto(launch(base))
        await expect(page.locator("h1")).to_have_text("Welcome, Mara <b>.")
        await visit.main_button("Start the lesson")
        assert await visit.telegram("SecondaryButton.text") == "Practise a scenario"
        assert not await visit.telegram("BackButton.isVisible")
        assert await visit.telegram("isClosingConfirmationEnabled") is False
        assert await page.evaluate(CONTRAST) == []

        await visit.telegram("MainButton.click()")
        await page.get_by_role("button", name="Start the scenario").click()
        field = page.get_by_label("Your answer")
        await field.fill(ANSWER)
        await visit.main_button("Send answer")
        assert await visit.telegram("isClosingConfirmationEnabled") is True
        assert await visit.telegram("BackButton.isVisible") is True
        await visit.telegram("MainButton.click()")
        await expect(page.get_by_role("log")).to_contain_text("of 100")
        assert await field.input_value() == ""
        assert await visit.telegram("isClosingConfirmationEnabled") is False
        assert "haptic.success" in await page.evaluate("Telegram.calls")

        await visit.telegram("BackButton.click()")
        await expect(page.locator("h1")).to_have_text("Good to see you again, Mara <b>.")
        await page.get_by_role("button", name="Progress").click()
        await expect(page.locator(".badges .earned").first).to_contain_text("First answer")
        await expect(page.get_by_role("img")).to_have_attribute("aria-label", re.compile("The last 1 scores"))
        assert await page.evaluate(CONTRAST) == []
        assert visit.foreign == [SCRIPT]
        assert visit.problems == []
    rows = await kit.records.table("attempts").select("source").all()
    assert rows == [{"source": "http"}]


async def test_a_forged_signature_is_told_and_opens_nothing(app: ASGIApp, loopback: Loopback, kit: Kit, browser: Browser) -> None:
    """initData of another bot: the page says that nobody is signed in, and no user is made."""
    async with loopback(app) as base, visiting(browser, base) as visit:
        await visit.page.goto(launch(base, token="999:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"))
        await expect(visit.page.get_by_role("alert")).to_contain_text("You are not signed in")
    assert await kit.records.table("users").select("id").all() == []


async def test_dark_themes_and_old_clients_work(app: ASGIApp, loopback: Loopback, browser: Browser) -> None:
    """Telegram's colours are used and can be read; a client without a secondary or back button gets the page's own."""
    theme = {
        "bg_color": "#17212b",
        "secondary_bg_color": "#232e3c",
        "text_color": "#f5f5f5",
        "button_color": "#5288c1",
        "button_text_color": "#ffffff",
    }
    async with loopback(app) as base, visiting(browser, base) as visit:
        page = visit.page
        await page.goto(launch(base, theme=theme, dark="1", tgWebAppVersion="6.0"))
        await visit.main_button("Start the lesson")
        await expect(page.locator("#secondary")).to_be_visible()
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(35, 46, 60)"
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        # Below Telegram's own header, above its bottom bar.
        assert float((await page.evaluate("getComputedStyle(document.querySelector('.top')).paddingTop")).removesuffix("px")) >= 47
        assert visit.problems == []


async def test_what_the_coach_says_later_is_shown(app: ASGIApp, loopback: Loopback, database: Any, browser: Browser) -> None:
    """A reply that comes without being asked for appears by itself, once, and counts as seen."""
    async with loopback(app) as base, visiting(browser, base) as visit:
        page = visit.page
        await page.clock.install()
        await page.goto(launch(base))
        await visit.main_button("Start the lesson")
        await page.get_by_role("button", name="Coach").click()
        await expect(page.locator(".said:not(.writing)")).to_have_count(1)
        with psycopg.connect(database.owner_dsn, autocommit=True) as connection:
            connection.execute(
                "insert into outbox (source, update_id, seq, chat, payload) select source, 1, 0, chat, "
                """'{"text": {"plain": "Your research is done.", "spans": []}}' from outbox limit 1"""
            )
            for _ in range(3):
                async with page.expect_response("**/api/coach/replies"):
                    await page.clock.fast_forward(10_500)
                await expect(page.get_by_text("Your research is done.")).to_have_count(1)
            assert connection.execute("select count(*) from outbox where status = 'pending'").fetchone() == (0,)


async def test_an_answer_survives_a_broken_connection(app: ASGIApp, loopback: Loopback, kit: Kit, browser: Browser) -> None:
    """The answer is kept and sent again under the same id: scored once, however often it was sent."""
    async with loopback(app) as base, visiting(browser, base) as visit:
        page, sent = visit.page, []
        await page.goto(launch(base))
        await visit.main_button("Start the lesson")
        await visit.telegram("MainButton.click()")
        await page.get_by_role("button", name="Start the scenario").click()
        await page.get_by_label("Your answer").fill(ANSWER)

        async def break_once(route: Route) -> None:
            sent.append(route.request.post_data_json["id"])
            if len(sent) == 1:
                await route.fetch()  # it arrives, and its answer is lost
                await route.abort()
            else:
                await route.continue_()

        await page.route("**/api/coach/events", break_once)
        await visit.main_button("Send answer")
        await visit.telegram("MainButton.click()")
        await expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("log")).to_contain_text("of 100")
        assert len(sent) == 2
        assert len(set(sent)) == 1
    assert len(await kit.records.table("attempts").select("id").all()) == 1


class TestPlainBrowser:
    """Without Telegram, with the development sign-in."""

    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"DEV_SIGN_IN": "on"}

    async def test_keys_alone_lead_to_a_score(self, app: ASGIApp, loopback: Loopback, browser: Browser) -> None:
        """Sign-in, lesson, scenario, answer and score without a pointer; nothing at all is loaded from elsewhere."""
        async with loopback(app) as base, visiting(browser, base, reduced_motion="reduce") as visit:
            page = visit.page
            await page.goto(f"{base}/app/")
            await expect(page.get_by_label("Name")).to_be_focused()
            await page.keyboard.press("Control+A")
            await page.keyboard.type("Ravi")
            await page.keyboard.press("Enter")
            await expect(page.locator("h1")).to_have_text("Welcome, Ravi.")
            await expect(page.locator("h1")).to_be_focused()
            await expect(page.get_by_text("Development sign-in is on")).to_be_visible()
            for name in ("Start the lesson", "Start the scenario"):
                await expect(page.get_by_role("button", name=name)).to_be_visible()
                await tab_to(page, name)
                await page.keyboard.press("Enter")
            await expect(page.get_by_label("Your answer")).to_be_visible()
            await tab_to(page, "answer")
            await page.keyboard.type("What does the queue at your gate cost you each morning? Shall we talk on Thursday at 10?")
            await page.keyboard.press("Control+Enter")
            await expect(page.get_by_role("log")).to_contain_text("of 100")
            assert await page.evaluate("document.getAnimations().length") == 0
            assert await page.evaluate(CONTRAST) == []
            assert visit.foreign == []
            assert visit.problems == []

    async def test_markup_stays_text(self, app: ASGIApp, loopback: Loopback, browser: Browser) -> None:
        """What a person or a model writes never becomes an element, and nothing of it runs."""
        hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
        async with loopback(app) as base, visiting(browser, base) as visit:
            page = visit.page
            await page.goto(f"{base}/app/")
            await page.get_by_label("Name").fill("<i>Eve</i>")
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_role("button", name="Coach").click()
            await page.get_by_label("Your answer").fill(hostile)
            await page.get_by_role("button", name="Send answer").click()
            await expect(page.locator(".said.mine").last).to_contain_text(hostile)
            await expect(page.locator(".said:not(.mine):not(.writing)")).to_have_count(2)
            assert await page.locator("main img, main i:not(.dots i), main script").count() == 0
            assert visit.foreign == []
            assert visit.problems == []

    async def test_an_unsent_answer_is_still_there_after_a_reload(self, app: ASGIApp, loopback: Loopback, browser: Browser) -> None:
        """What was typed and not sent is found again, and so is the scenario it answers."""
        async with loopback(app) as base, visiting(browser, base) as visit:
            page = visit.page
            field = page.get_by_label("Your answer")
            await page.goto(f"{base}/app/")
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_role("button", name="Start the lesson").click()
            await page.get_by_role("button", name="Start the scenario").click()
            await field.fill("Half a thought")
            assert await page.evaluate("typeof window.onbeforeunload") == "function"
            await page.evaluate("window.onbeforeunload = null")
            await page.reload()
            await page.get_by_role("button", name="Sign in").click()
            await expect(field).to_have_value("Half a thought")
            await expect(page.get_by_role("log")).to_contain_text("A note to a head of operations")

    async def test_it_is_for_this_machine_alone(self, app: ASGIApp) -> None:
        """A caller from elsewhere, or through a proxy, is refused."""
        for address, headers in (("203.0.113.9", {}), ("127.0.0.1", {"x-forwarded-for": "203.0.113.9"})):
            transport = httpx.ASGITransport(app=app, client=(address, 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                assert (await client.post("/app/dev-sign-in", json={"name": "Eve"}, headers=headers)).status_code == 403


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element of that name or id has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("(name) => document.activeElement.id === name || document.activeElement.textContent === name", name):
            return
    raise AssertionError(f"Tab never reaches {name}")


async def test_the_development_sign_in_is_off_by_default(client: httpx.AsyncClient) -> None:
    """Without the setting the route does not exist, and the page is told so."""
    assert (await client.post("/app/dev-sign-in", json={"name": "Eve"})).status_code in {404, 405}
    assert (await client.get("/app/config.json")).json() == {"devSignIn": False}


async def test_the_files_are_a_closed_list_under_a_strict_policy(client: httpx.AsyncClient) -> None:
    """Nothing beyond the page's files is served; scripts and styles come from here, no inline code, no caching of stale files."""
    page = await client.get("/app/")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' {SCRIPT}"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert (await client.get("/app/", headers={"if-none-match": page.headers["etag"]})).status_code == 304
    assert (await client.get("/app")).headers["location"] == "/app/"
    for path, status in (("/app/routes.py", 404), ("/app/__init__.py", 404), ("/app/nothing.js", 404), ("/app/..%2froutes.py", 400)):
        assert (await client.get(path)).status_code == status


async def test_a_plain_browser_without_development_sign_in_is_sent_to_telegram(app: ASGIApp, loopback: Loopback, browser: Browser) -> None:
    """The page says where to open it, and asks nobody else anything."""
    async with loopback(app) as base, visiting(browser, base) as visit:
        await visit.page.goto(f"{base}/app/")
        await expect(visit.page.get_by_role("alert")).to_contain_text("Open this in Telegram")
        assert visit.foreign == []
