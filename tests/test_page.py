"""The page in a real browser: by mouse and by keyboard alone, in light and dark, and edit text that stays text."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")
pytest.importorskip("playwright.sync_api")

import httpx2
from playwright.sync_api import Browser, Error, Page, Route, expect, sync_playwright
from test_server import body
from test_server_keys import KEYS, as_, token
from test_server_stream import listening
from wire_server import WireServer

from memedit import EditMemory, Fact
from memedit.adapters.server.app import make_app
from memedit.adapters.server.backend import Editing, Endpoint
from memedit.gate import Gate
from memedit.testing import HashEmbedder, NamedGate

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MARKUP = '<img src=x onerror="document.title=1"> is the logo of Acme.'
CHIEF = {"subject": "Acme", "relation": "chief executive officer", "object": "Ann Lee",
         "prompt": "The chief executive officer of {} is", "tags": ["staff"], "aliases": ["Acme Inc."]}  # fmt: skip
SPOUSE = {"subject": "Ann Lee", "relation": "spouse", "object": "Bob Ray", "prompt": "The spouse of {} is"}
NORLAND = {"subject": "Norland", "relation": "capital", "object": "Oslo", "prompt": "The capital of {} is",
           "statement": "The capital of Norland is Oslo"}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium: the one of the system, or playwright's own."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    with sync_playwright() as driver:
        try:
            made = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"no Chromium can be started: {str(error).splitlines()[0]}")
        yield made
        made.close()


@pytest.fixture
def memory() -> EditMemory:
    made = EditMemory(embedder=HashEmbedder())
    for edit in (CHIEF, SPOUSE, NORLAND):
        made.add(edit, namespace="a")
    made.add({"kind": "feedback", "situation": "asked for a city", "clarification": "name the country"}, namespace="a")
    return made


@pytest.fixture
def gate() -> Gate | None:
    """What decides; a test that wants the default one says so."""
    return NamedGate()


@pytest.fixture
def url(upstream: WireServer, memory: EditMemory, gate: Gate | None) -> Iterator[str]:
    backend = Endpoint(upstream.url, Editing.of(memory, gate), key="sk-up", passes_keys=False)
    with listening(make_app(backend, memory, keys=KEYS)) as (_, address):
        yield address


@pytest.fixture
def wrong() -> list[str]:
    """What the page logged as an error; at the end nothing may stand here. A request that is refused is logged, too."""
    return []


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, url: str, request: pytest.FixtureRequest, wrong: list[str]) -> Iterator[Page]:
    """The page, opened with an admin's key; nothing may be logged as an error, and nothing fetched from elsewhere."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 1000})
    made = context.new_page()
    made.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("request", lambda sent: None if sent.url.startswith((url, "data:")) else wrong.append(sent.url))
    made.goto(f"{url}/memedit/")
    enter(made, "adam")
    yield made
    if folder := os.environ.get("MEMEDIT_SCREENSHOTS"):  # to be looked at
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        made.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    context.close()
    assert wrong == []


def enter(page: Page, name: str) -> None:
    page.get_by_label("Key").fill(token(name))
    page.get_by_label("Key").press("Enter")
    expect(page.locator("#who")).to_contain_text(name)


def cards(page: Page) -> Any:
    return page.locator("#edits > li")


def card(page: Page, text: str) -> Any:
    return cards(page).filter(has_text=text)


def done(page: Page) -> Any:
    return page.locator("#done")


def asked(page: Page) -> Any:
    return page.get_by_role("dialog")


def test_edits_are_listed_searched_and_filtered(page: Page) -> None:
    expect(cards(page)).to_have_count(4)
    expect(page.locator("#count")).to_have_text("4 of 4")
    page.get_by_label("Kind").select_option("feedback")
    expect(cards(page)).to_have_count(1)
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Tag", exact=True).fill("staff")
    page.get_by_label("Tag", exact=True).press("Enter")
    expect(cards(page)).to_have_count(1)
    expect(cards(page)).to_contain_text("Ann Lee")
    page.get_by_label("Search").fill("capital of Norland")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#count")).to_contain_text("found for “capital of Norland”")
    expect(page.locator("#count")).to_contain_text("a search heeds no tag")
    expect(cards(page).first).to_contain_text("Oslo")
    card(page, "Oslo").get_by_role("button", name="Details").click()
    expect(card(page, "Oslo").locator("pre")).to_contain_text('"revision": 3')


def test_an_edit_is_added_retracted_and_brought_back(page: Page, memory: EditMemory) -> None:
    page.get_by_label("New edit").fill("The tower of Norland is closed.")
    page.get_by_label("Reason").fill("ticket 7")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(card(page, "tower")).to_contain_text("adam")
    expect(page.locator("#history > li").first).to_contain_text("ticket 7")
    card(page, "tower").get_by_role("button", name="Retract").click()
    expect(card(page, "tower")).to_have_count(0)
    expect(done(page)).to_contain_text("Retracted")
    page.get_by_role("button", name="Undo last change").click()
    expect(asked(page)).to_contain_text("6 retract")
    expect(asked(page)).to_contain_text("adam")
    expect(asked(page)).to_contain_text("The tower of Norland is closed.")
    asked(page).get_by_role("button", name="Leave it").click()
    expect(card(page, "tower")).to_have_count(0)
    page.get_by_role("button", name="Undo last change").click()
    asked(page).get_by_role("button", name="Take back").click()
    expect(card(page, "tower")).to_have_count(1)
    expect(done(page)).to_contain_text("Taken back:6 retract")
    expect(page.locator("#history > li").first).to_contain_text("undo")
    assert [change.kind for change in memory.history(namespace="a")][-3:] == ["add", "retract", "undo"]


def test_an_edit_is_corrected(page: Page, memory: EditMemory) -> None:
    memory.add("We ship to Sweden.", namespace="a", tags=["shop"])
    page.reload()
    card(page, "Sweden").get_by_role("button", name="Correct").click()
    expect(page.get_by_label("New edit")).to_be_focused()
    expect(page.get_by_label("New edit")).to_have_value("We ship to Sweden.")
    expect(page.locator("#replaces")).to_contain_text("Takes the place of:We ship to Sweden.")
    page.get_by_role("button", name="Leave it as it is").click()
    expect(page.get_by_label("New edit")).to_have_value("")
    expect(page.locator("#replaces")).to_be_empty()
    card(page, "Sweden").get_by_role("button", name="Correct").click()
    page.get_by_label("New edit").fill("Parcels go to Norway now.")
    page.locator("#send").click()
    expect(card(page, "Norway")).to_contain_text("shop")
    expect(card(page, "Sweden")).to_have_count(0)
    expect(done(page)).to_contain_text("It took the place of:We ship to Sweden.")
    expect(page.locator("#send")).to_have_text("Add")
    card(page, "Ann Lee").filter(has_text="chief").get_by_role("button", name="Correct").click()
    expect(page.get_by_label("Object")).to_have_value("Ann Lee")
    page.get_by_label("Object").fill("Cid Roe")
    page.locator("#send").click()
    expect(card(page, "The chief executive officer of Acme is Cid Roe")).to_contain_text("staff")
    corrected = memory.edits(namespace="a")[-1]
    assert isinstance(corrected, Fact)
    assert (corrected.prompt, corrected.aliases) == (CHIEF["prompt"], ("Acme Inc.",))


def test_what_waits_is_reviewed(page: Page, memory: EditMemory) -> None:
    expect(page.locator("#review")).to_be_hidden()
    memory.propose(
        [MARKUP, "The tower of Norland is closed.", "Pell is far."], namespace="a", author="bot", source="mail"
    )
    page.reload()
    waits = page.locator("#proposals > li")
    expect(waits).to_have_count(3)
    expect(waits.first.locator(".text")).to_have_text(MARKUP)
    expect(waits.first).to_contain_text("bot · mail")
    expect(cards(page)).to_have_count(4)
    waits.filter(has_text="tower").get_by_role("button", name="Accept").click()
    expect(card(page, "tower")).to_have_count(1)
    expect(page.locator("#history > li").first).to_contain_text("accept")
    waits.filter(has_text="onerror").get_by_role("button", name="Reject").click()
    expect(waits).to_have_count(1)
    page.get_by_role("button", name="Reject all").click()
    asked(page).get_by_role("button", name="Leave it").click()
    assert len(memory.proposed(namespace="a")) == 1
    page.get_by_role("button", name="Reject all").click()
    expect(asked(page)).to_contain_text("Pell is far.")
    asked(page).get_by_role("button", name="Reject all 1").click()
    expect(page.locator("#review")).to_be_hidden()
    assert memory.proposed(namespace="a") == []
    assert page.title() == "memedit"


def test_what_is_decided_meanwhile_is_not_foreseen(page: Page, memory: EditMemory) -> None:
    held: list[Route] = []
    page.route("**/proposals/foresee", lambda route: held.append(route))
    memory.propose("Pell is far.", namespace="a")
    page.reload()
    page.locator("#proposals > li").get_by_role("button", name="Accept").click()
    expect(card(page, "Pell")).to_have_count(1)
    assert held
    for one in held:  # what was asked before is answered late; else the fixture finds an error that was logged
        one.continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#said")).to_be_hidden()


def test_the_playground_shows_both_answers_and_why(page: Page, upstream: WireServer) -> None:
    page.get_by_label("Message").fill("What is the capital of Norland?")
    page.get_by_label("Model").fill("m")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#base")).to_have_text("nobody knows")
    expect(page.locator("#edited")).to_have_text("Oslo")
    looked = page.locator("#looked")
    expect(looked).to_contain_text("“What is the capital of Norland?” at revision 4")
    passed = looked.locator(".verdict").first
    expect(passed).to_contain_text("✓ 1.00")
    expect(passed).to_contain_text("Oslo")
    assert passed.locator("meter").evaluate("one => one.value") == 1
    expect(looked.locator("pre").first).to_contain_text("- The capital of Norland is Oslo\n")
    assert "The capital of Norland is Oslo" in upstream.bodies[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("gate", [None])
def test_the_playground_tells_reasons(page: Page) -> None:
    page.get_by_label("Message").fill("What is the capital of Norland?")
    page.get_by_role("button", name="Only look up").click()
    expect(page.locator("#looked .verdict").first).to_contain_text("subject “norland” is named")


def test_the_playground_shows_the_hops_without_asking(page: Page, upstream: WireServer) -> None:
    page.get_by_label("Message").fill("Who is the spouse of the chief executive officer of Acme?")
    page.get_by_role("button", name="Only look up").click()
    looked = page.locator("#looked")
    expect(looked.locator("ol > li")).to_have_count(2)
    expect(looked.locator("ol > li").last).to_have_text("the spouse of Ann Lee — Bob Ray (by edit, 1.00)")
    expect(page.locator("#answers")).to_be_hidden()
    assert not upstream.seen


def test_an_edit_is_verified(page: Page) -> None:
    page.get_by_label("Model").fill("m")
    card(page, "Oslo").get_by_role("button", name="Verify").click()
    rows = card(page, "Oslo").locator(".checks tr")
    expect(rows.first).to_have_text("✓ passed, in scope")
    expect(rows.nth(1)).to_have_text("AskedThe capital of Norland is")
    expect(rows.nth(2)).to_have_text("ExpectedOslo")
    expect(rows.nth(3)).to_have_text("Without editsnobody knows")
    expect(rows.nth(4)).to_have_text("With editsOslo")


def test_what_fires_is_counted(page: Page, url: str) -> None:
    for question in ["What is the capital of Norland?"] * 3 + ["Who leads Acme?", "What is seven times six?"]:
        asked = httpx2.post(f"{url}/v1/chat/completions", json=body("chat", question), headers=as_("ann"))
        assert asked.status_code == 200
    page.reload()
    expect(page.locator("#calls")).to_have_text("5 calls of this server since it began")
    expect(page.get_by_text("Questions of the playground are not counted.")).to_be_visible()
    expect(page.locator("#fires > li").first).to_contain_text("Oslo")
    expect(page.locator("#fires > li").first).to_contain_text("applied 3 times")
    expect(page.locator("#fires > li").nth(1)).to_contain_text("applied 1 time")


def test_everything_is_done_by_the_keyboard(page: Page) -> None:
    page.locator("body").press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("Norland")
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_contain_text("found for “Norland”")
    reach(page, "New edit", back=True)
    page.keyboard.type("The bridge of Norland is open.")
    reach(page, "Add")
    page.keyboard.press("Enter")
    expect(page.locator("#history > li").first).to_contain_text("bridge")
    reach(page, "Undo last change")
    page.keyboard.press("Space")
    expect(asked(page).get_by_role("button", name="Leave it")).to_be_focused()
    reach(page, "Take back", back=True)
    page.keyboard.press("Enter")
    expect(page.locator("#history > li").first).to_contain_text("undo")
    reach(page, "Retract: The capital of Norland is Oslo")
    page.keyboard.press("Enter")
    expect(card(page, "Oslo")).to_have_count(0)
    expect(page.get_by_role("button", name="Undo last change")).to_be_focused()  # no card is left in the list
    reach(page, "Message")
    page.keyboard.type("Who leads Acme?")
    reach(page, "Only look up")
    page.keyboard.press("Enter")
    expect(page.locator("#looked")).to_contain_text("“Who leads Acme?”")
    shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert shown == "solid"  # where the focus is can be seen


def reach(page: Page, name: str, *, back: bool = False) -> None:
    """Go on by the tabulator until what has this name has the focus."""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        label = page.evaluate(
            "(({ariaLabel: own, labels, firstChild: child}) =>"
            " own ?? (labels?.[0]?.firstChild ?? child)?.textContent.trim())(document.activeElement)"
        )
        if label == name:
            return
    raise AssertionError(f"{name} is not reached")


def test_the_focus_stays_at_the_next_card(page: Page, memory: EditMemory) -> None:
    expect(cards(page)).to_have_count(4)
    reach(page, "Retract: The spouse of Ann Lee is Bob Ray")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(3)
    expect(card(page, "Acme")).to_be_focused()
    memory.propose(["Pell is far.", "Pell is near."], namespace="a")
    page.reload()
    expect(page.locator("#proposals > li")).to_have_count(2)
    reach(page, "Accept: Pell is far.")
    page.keyboard.press("Enter")
    expect(page.locator("#proposals > li")).to_have_count(1)
    expect(page.locator("#proposals > li")).to_be_focused()


def test_an_undo_that_came_too_late_takes_nothing_back(page: Page, memory: EditMemory, wrong: list[str]) -> None:
    page.get_by_role("button", name="Undo last change").click()
    expect(asked(page)).to_contain_text("4 add")
    memory.add("The bridge of Norland is open.", namespace="a")
    asked(page).get_by_role("button", name="Take back").click()
    expect(page.locator("#said")).to_contain_text("Somebody made another change meanwhile, so nothing was undone.")
    expect(card(page, "bridge")).to_have_count(1)
    expect(cards(page)).to_have_count(5)
    was_refused(wrong, "409")


def test_what_is_gone_is_said_in_words_and_loaded_again(page: Page, memory: EditMemory, wrong: list[str]) -> None:
    expect(card(page, "Oslo")).to_have_count(1)
    (gone,) = [edit for edit in memory.edits(namespace="a") if "Oslo" in edit.text]
    memory.retract(gone.id, namespace="a")
    card(page, "Oslo").get_by_role("button", name="Retract").click()
    expect(page.locator("#said")).to_contain_text("That edit is not there any more")
    expect(cards(page)).to_have_count(3)
    was_refused(wrong, "404")


def was_refused(wrong: list[str], status: str) -> None:
    assert [status in one for one in wrong] == [True], wrong
    wrong.clear()


def test_a_key_that_is_not_known_is_said_so(page: Page, wrong: list[str]) -> None:
    page.get_by_role("button", name="Leave").click()
    page.get_by_label("Key").fill("nobody-0123456789abcdef")
    page.get_by_label("Key").press("Enter")
    expect(page.locator("#said")).to_have_text("This key is not known.")
    was_refused(wrong, "401")
    page.get_by_label("Key").fill("schlüssel-ключ-0123456789")  # no header can carry it, so it is not even sent
    page.get_by_label("Key").press("Enter")
    expect(page.locator("#said")).to_have_text("This key is not known.")
    enter(page, "ann")
    expect(page.locator("#said")).to_be_hidden()


def test_a_server_that_is_away_costs_nothing_that_was_typed(page: Page, wrong: list[str]) -> None:
    page.get_by_label("New edit").fill("The bridge of Norland is open.")
    page.context.set_offline(True)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#said")).to_have_text("The server cannot be reached; what you typed is kept.")
    expect(page.get_by_label("New edit")).to_have_value("The bridge of Norland is open.")
    page.context.set_offline(False)
    page.get_by_label("New edit").press("Control+Enter")
    expect(card(page, "bridge")).to_have_count(1)
    expect(page.locator("#said")).to_be_hidden()
    assert all("ERR_INTERNET_DISCONNECTED" in one for one in wrong)
    wrong.clear()


def test_what_adding_did_is_told(page: Page) -> None:
    def add(text: str) -> None:
        page.get_by_label("New edit").fill(text)
        page.get_by_role("button", name="Add", exact=True).click()

    add("The tower of Norland is closed.")
    expect(done(page)).to_contain_text("fact, added in revision 5")
    add("The tower of Norland is closed.")
    expect(done(page)).to_contain_text("already known, nothing was changed")
    expect(done(page)).to_contain_text("The tower of Norland is closed.")
    done(page).get_by_role("button", name="Close").click()
    expect(done(page)).to_be_empty()
    add("The bridge of Norland is closed.")
    expect(done(page)).to_contain_text("added in revision 6")
    page.get_by_label("Search").focus()  # whoever goes on is not in the way of it
    expect(done(page)).to_be_empty()


def test_what_was_typed_stays_where_another_kind_asks_for_it_too(page: Page) -> None:
    kind = page.get_by_label("Written as")
    kind.select_option("fact")
    page.get_by_label("Subject").fill("Pell")
    kind.press("Tab")
    expect(page.get_by_label("Subject")).to_be_focused()
    kind.select_option("description")
    expect(page.get_by_label("Who or what")).to_have_value("Pell")


EACH = {
    "fact": ({"Subject": "Pell", "Relation": "capital", "Object": "Ux"}, {"subject": "Pell", "object": "Ux"}),
    "feedback": ({"When I ask this": "the date", "I mean this": "of Easter"}, {"clarification": "of Easter"}),
    "patch": ({"If this holds of the text": "it is late", "then this": "hurry"}, {"consequence": "hurry"}),
    "description": ({"Who or what": "Pell", "It is this": "a firm"}, {"description": "a firm"}),
    "behaviour": ({"it is done so": "Answer in verse."}, {"conduct": "Answer in verse.", "topic": None}),
    "erasure": ({"Never say": "Zed Quist", "About": "Acme", "Answer instead": "Ask Ann."}, {"reply": "Ask Ann."}),
}


@pytest.mark.parametrize("kind", EACH)
def test_every_kind_has_a_form(page: Page, memory: EditMemory, kind: str) -> None:
    given, held = EACH[kind]
    page.get_by_label("Written as").select_option(kind)
    expect(page.get_by_label("New edit")).to_be_hidden()
    if kind == "fact":
        page.get_by_role("button", name="Add", exact=True).click()  # the browser asks for what lacks
        expect(page.get_by_label("Subject")).to_be_focused()
    for name, value in given.items():
        page.get_by_label(name).fill(value)
    page.get_by_label("Tags").fill("staff , , prices")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(done(page)).to_contain_text(f"{kind}, added in revision 5")
    expect(cards(page).first).to_contain_text("staff, prices")
    expect(page.locator("#fields input").first).to_have_value("")
    newest = memory.edits(namespace="a")[-1]
    assert (newest.kind, newest.tags, newest.author) == (kind, ("staff", "prices"), "adam")
    assert {name: getattr(newest, name) for name in held} == held
    page.get_by_label("Written as").select_option("")
    expect(page.get_by_label("New edit")).to_be_visible()


def test_a_statement_has_tags_too_and_a_proposal_of_any_kind_waits(page: Page, memory: EditMemory) -> None:
    page.get_by_label("New edit").fill("Pell is far.")
    page.get_by_label("Tags").fill("places")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(card(page, "Pell")).to_have_count(1)
    assert memory.edits(namespace="a", tag="places")[0].text == "Pell is far."
    page.get_by_role("button", name="Leave").click()
    enter(page, "pat")
    page.get_by_label("Written as").select_option("fact")
    for name, value in EACH["fact"][0].items():
        page.get_by_label(name).fill(value)
    page.get_by_role("button", name="Propose").click()
    expect(done(page)).to_contain_text("Pell · capital · Ux")
    assert [edit.object for edit in memory.proposed(namespace="a")] == ["Ux"]


def test_a_proposal_tells_what_it_would_replace(page: Page, memory: EditMemory) -> None:
    memory.propose(NORLAND | {"object": "Rom", "statement": "The capital of Norland is Rom"}, namespace="a")
    memory.propose({"kind": "behaviour", "conduct": "Answer in verse."}, namespace="a", author="bot")
    page.reload()
    first, second = (page.locator("#proposals > li").nth(place) for place in (0, 1))
    expect(first).to_contain_text("It would take the place of:")
    expect(first.locator(".quoted")).to_have_text("The capital of Norland is Oslo")
    expect(second).to_contain_text("A standing instruction: it goes with every message.")
    page.get_by_role("button", name="Accept all").click()
    asked(page).get_by_role("button", name="Accept all 2").click()
    expect(done(page)).to_contain_text("It took the place of:")
    expect(done(page)).to_contain_text("A standing instruction: it goes with every message.")
    expect(card(page, "Oslo")).to_have_count(0)


def test_who_may_propose_has_a_form_for_it(page: Page, memory: EditMemory) -> None:
    page.get_by_role("button", name="Leave").click()
    enter(page, "pat")
    expect(page.get_by_role("button", name="Undo last change")).to_be_hidden()
    page.get_by_label("New edit").fill("Pell is far.")
    page.get_by_role("button", name="Propose").click()
    expect(done(page)).to_contain_text("Proposed; it waits until somebody accepts it")
    expect(page.locator("#proposals > li")).to_contain_text("Pell is far.")
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
    assert [edit.author for edit in memory.proposed(namespace="a")] == ["pat"]


def test_what_is_asked_is_named_and_the_old_is_taken_away(page: Page, upstream: WireServer) -> None:
    page.get_by_label("Model").fill("m")
    page.get_by_label("Message").fill("What is the capital of Norland?")
    page.get_by_label("Message").press("Control+Enter")
    expect(page.locator("#question")).to_have_text("asked: What is the capital of Norland?")
    goes_on = threading.Event()

    def waits(body: Any) -> None:
        goes_on.wait(20)

    upstream.script = waits
    page.get_by_label("Message").fill("Who leads Acme?")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#question")).to_have_text("asking … Who leads Acme?")
    expect(page.locator("#answers")).to_be_hidden()
    expect(page.locator("#looked")).to_be_empty()
    goes_on.set()
    expect(page.locator("#question")).to_have_text("asked: Who leads Acme?")
    expect(page.locator("#edited")).to_be_visible()


def test_an_edit_that_says_no_question_is_not_shown_as_proved(page: Page, memory: EditMemory) -> None:
    stays = {"prompt": "What is two plus two?", "must": "stay"}
    memory.add({"statement": "Quietly now.", "probes": [stays]}, namespace="a")
    page.reload()
    page.get_by_label("Model").fill("m")
    card(page, "Quietly").get_by_role("button", name="Verify").click()
    checks = card(page, "Quietly").locator(".checks")
    expect(checks).to_contain_text("Nothing in scope was checked: this edit says no question.")
    expect(checks).not_to_contain_text("✓")


def test_a_search_lists_what_is_near_and_ids_and_authors(page: Page, memory: EditMemory) -> None:
    memory.add("Pell is far.", namespace="a", author="zoe")
    (oslo,) = [edit for edit in memory.edits(namespace="a") if "Oslo" in edit.text]
    for said, text in ((oslo.id[:8], "Oslo"), ("zoe", "Pell"), ("bob ray", "Bob Ray")):
        page.get_by_label("Search").fill(said)
        page.get_by_label("Search").press("Enter")
        expect(page.locator("#count")).to_contain_text(f"found for “{said}”")
        expect(cards(page).first).to_contain_text(text)
    for said in ("zoe", oslo.id[:8], "zoe"):  # faster than it is answered
        page.get_by_label("Search").fill(said)
        page.get_by_label("Search").press("Enter")
    expect(page.locator("#count")).to_contain_text("found for “zoe”")
    expect(cards(page)).to_have_count(1)
    page.get_by_label("Search").fill("quite another matter")
    page.get_by_label("Search").press("Enter")
    expect(page.locator("#count")).to_have_text(
        "nothing found for “quite another matter”; 5 more lie farther away and are not shown"
    )
    page.get_by_label("Search").fill("")
    page.get_by_label("Kind").select_option("patch")
    expect(page.locator("#count")).to_have_text("No edit in force has this kind and tag.")


def test_what_is_long_is_folded_and_the_history_goes_on(page: Page, memory: EditMemory) -> None:
    long = "Norland lies " + "far " * 300 + "away."
    memory.add(long, namespace="a")
    for place in range(60):
        memory.add(f"House {place} is green.", namespace="a")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#count")).to_have_text("50 of 65")
    expect(page.locator("#history > li")).to_have_count(50)  # it is as new as the list
    page.get_by_role("button", name="Show earlier changes").click()
    expect(page.locator("#history > li")).to_have_count(65)
    expect(page.get_by_role("button", name="Show earlier changes")).to_be_hidden()
    page.get_by_role("button", name="Show more").click()
    expect(cards(page)).to_have_count(65)
    text = card(page, "Norland lies").locator(".text")
    expect(text).to_contain_text("far… show all")
    text.get_by_role("button", name="show all").click()
    expect(text).to_have_text(long)
    assert text.get_attribute("dir") == "auto"
    list(memory.add_many([f"Tower {place} is blue." for place in range(60)], namespace="a"))
    page.get_by_role("button", name="Undo last change").click()
    expect(asked(page)).to_contain_text("and 10 more")
    asked(page).get_by_role("button", name="Leave it").click()


def test_edit_text_is_text(page: Page) -> None:
    page.get_by_label("New edit").fill(MARKUP)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(card(page, "onerror")).to_have_count(1)
    expect(cards(page).first.locator(".text")).to_have_text(MARKUP)
    expect(page.locator("#history > li").first).to_contain_text(MARKUP)
    page.get_by_label("Message").fill(f"What is {MARKUP}?")
    page.get_by_role("button", name="Only look up").click()
    expect(page.locator("#looked")).to_contain_text("onerror")
    assert page.locator("main img").count() == 0
    assert page.title() == "memedit"


def test_a_reader_sees_what_a_reader_may(page: Page) -> None:
    page.get_by_role("button", name="Leave").click()
    enter(page, "ann")
    expect(cards(page)).to_have_count(4)
    for name in ("Add", "Undo last change", "Ask both", "Retract", "Verify"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Only look up")).to_be_visible()


def test_it_fits_on_a_telephone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_label("Message").fill("What is the capital of Norland?")
    page.get_by_role("button", name="Only look up").click()
    expect(page.locator("#looked .verdict").first).to_be_visible()
    page.get_by_label("Model").fill("m")
    card(page, "Oslo").get_by_role("button", name="Verify").click()
    expect(card(page, "Oslo").locator("table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="History").click()
    expect(page.locator("#history-title")).to_be_in_viewport()


def test_buttons_of_cards_are_large_enough_for_a_finger(browser: Browser, url: str) -> None:
    made = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = made.new_page()
    page.goto(f"{url}/memedit/")
    enter(page, "adam")
    expect(cards(page)).to_have_count(4)
    heights = page.locator(".row button:visible").evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert min(heights) >= 32
    made.close()


def test_what_waits_leaves_the_parts_side_by_side(page: Page, memory: EditMemory) -> None:
    memory.propose("Pell is far.", namespace="a")
    page.set_viewport_size({"width": 1360, "height": 900})
    page.reload()
    expect(page.locator("#review")).to_be_visible()
    tops = page.locator("main > *").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert [top == tops[0] for top in tops] == [True] * 3
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the edits")).to_be_focused()


def test_the_colours_are_those_that_are_wished_for(page: Page) -> None:
    """Text stands out from its paper by 4.5 to 1 (WCAG 2.2, 1.4.3), in light and in dark."""
    page.get_by_label("Message").fill("Who leads Acme?")
    page.get_by_role("button", name="Only look up").click()
    expect(page.locator("#looked .verdict").first).to_be_visible()
    found = page.evaluate(CONTRASTS)
    assert found["least"] >= 4.5, found
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (found["paper"] < 0.2) == dark


CONTRASTS = """() => {
  const bright = (said) => {
    const parts = said.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const said = getComputedStyle(one).backgroundColor;
      if (!said.startsWith("rgba(0, 0, 0, 0")) return bright(said);
    }
    return 1;
  };
  let least = 21, where = "";
  for (const one of document.querySelectorAll("main *, header *")) {
    const says = [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!says || !one.checkVisibility()) continue;
    const [a, b] = [bright(getComputedStyle(one).color), behind(one)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least) [least, where] = [ratio, one.outerHTML.slice(0, 80)];
  }
  return { least, where, paper: bright(getComputedStyle(document.body).backgroundColor) };
}"""


def test_edits_are_saved_as_a_file_and_added_from_one(page: Page, memory: EditMemory, tmp_path: Path) -> None:
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a file").click()
    expect(done(page)).to_contain_text("4 in force and 0 that wait")
    memory.revert(to=0, namespace="a")
    file = page.get_by_label("Add those of a file")
    file.set_input_files(saved.value.path().rename(tmp_path / "edits.jsonl"))
    expect(asked(page)).to_contain_text("Ann Lee")
    asked(page).get_by_role("button", name="Add them").click()
    expect(done(page)).to_contain_text("Of edits.jsonl: 4 added.")
    expect(cards(page)).to_have_count(4)
    lines = tmp_path / "more.txt"
    lines.write_text("The tower of Norland is closed.\n", encoding="utf-8")
    file.set_input_files(lines)
    asked(page).get_by_role("button", name="Leave it").click()
    file.set_input_files(lines)
    asked(page).get_by_role("button", name="Add them").click()
    expect(card(page, "tower")).to_contain_text("adam")
    assert memory.history(namespace="a")[-1].reason == "import of more.txt"


def test_a_file_that_cannot_be_read_says_why(page: Page, tmp_path: Path, wrong: list[str]) -> None:
    broken = tmp_path / "edits.pdf"
    broken.write_text("%PDF", encoding="utf-8")
    page.get_by_label("Add those of a file").set_input_files(broken)
    asked(page).get_by_role("button", name="Add them").click()
    expect(page.locator("#said")).to_contain_text("form")
    expect(cards(page)).to_have_count(4)
    wrong.clear()
