"""The demo page in a real browser, with a real service and a trained model.

With TOPGRAFT_SCREENSHOTS=docs/images the screenshot of the documentation is written again.
"""

import csv
import io
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from model.shown import printable
from model.synthesis.composition import write_demo_dataset
from model.tables import original_text
from tests.page.photos import CLASSES
from tests.page.visit import (
    DESKTOP,
    MIN_TOUCH_TARGET,
    PHONE,
    QUESTIONS,
    SECONDS,
    SECONDS_BETWEEN_CHECKS,
    Visit,
    drop,
    each_class,
    end_decoding,
    has_mark,
    hold_up_four_times,
    large_photo,
    pass_time,
    tab_to,
    uncertain_photo,
    unknown_photo,
    worker_with_a_large_photo,
)
from tests.support.browser import playwright
from tests.support.deepaas_server import REAL_DATASET, Server
from tests.support.page_server import Line
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OWNED = "<img src=x onerror=\"document.title='owned'\">"
CONTROLS = "a\u202egpj\u2066\u200b\ufeff\U000e0041.jpg"


def test_the_table_of_a_dropped_folder_equals_that_of_the_api(visit: Visit, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cruise" / "day 1"
    folder.mkdir(parents=True)
    photos = dict(each_class())
    for name, content in photos.items():
        (folder / name).write_bytes(content)
    (folder / ".DS_Store").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo")
    (folder / "photo-7.jpg").write_bytes(b"damaged")
    drop(visit.page, tmp_path / "cruise")
    visit.done(7)
    for label, name in enumerate(CLASSES):
        assert visit.shown(f"photo-{label}.jpg") == name
    assert "received text" in visit.card("photo-7.jpg").locator(".state").inner_text()
    assert visit.page.locator("#show-failed").inner_text() == "Errors 1"
    assert visit.page.locator("#progress").is_hidden()

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        for path in sorted(folder.glob("photo-*")):
            entries.write(path, path.relative_to(tmp_path))
    expected = list(csv.reader(io.StringIO(server.predict(archive.getvalue(), "text/csv").content.decode())))
    received = list(csv.reader(io.StringIO(visit.table())))
    assert received[0] == expected[0]
    assert received[:-1] == expected[:-1]
    # What is wrong with a damaged file is said a little differently of one alone.
    assert received[-1][:4] == expected[-1][:4] and received[-1][4]


def test_bars_and_numbers_equal_those_of_the_api(visit: Visit, server: Server) -> None:
    content = each_class()[0][1]
    answer = server.predict(content, top_k=3).json()
    visit.page.locator("#top-k").fill("3")
    visit.page.locator("#top-k").blur()
    visit.add(("one.jpg", content))
    visit.done(1)
    rows = visit.card("one.jpg").locator(".bars li")
    assert rows.locator(".label").all_inner_texts() == answer["labels"]
    widths = [
        row.evaluate("bar => bar.clientWidth / bar.parentElement.clientWidth")
        for row in rows.locator(".meter span").all()
    ]
    assert widths == pytest.approx(answer["probabilities"], abs=0.02)
    visit.page.locator("#top-k").fill("2")
    visit.page.locator("#top-k").blur()
    playwright.expect(rows).to_have_count(2)
    visit.page.locator("#top-k").fill("0")
    visit.page.locator("#top-k").blur()
    assert visit.page.locator("#top-k:invalid").count() == 1
    assert rows.count() == 2


def test_unknown_predictions_are_explained(visit: Visit, server: Server) -> None:
    content = unknown_photo(server)
    closest = server.predict(content).json()["labels"][0]
    visit.add(("strange.jpg", content), ("plain.jpg", each_class()[0][1]))
    visit.done(2)
    assert visit.shown("strange.jpg").endswith("Unknown")
    words = visit.card("strange.jpg").locator(".summary").inner_text()
    assert "does not resemble" in words and f"Closest: \u2068{closest}\u2069" in words
    playwright.expect(visit.page.locator("#live")).to_contain_text(f"strange.jpg: unknown. {words}")
    assert "true" in visit.table()
    visit.page.get_by_role("button", name="Unknown 1").click()
    assert visit.card("strange.jpg").is_visible() and not visit.card("plain.jpg").is_visible()


def test_both_classes_of_an_uncertain_prediction_are_shown(visit: Visit, server: Server) -> None:
    content = uncertain_photo(server)
    answer = server.predict(content).json()["predictions"][0]
    visit.add(("between.jpg", content), ("plain.jpg", each_class()[0][1]))
    visit.done(2)
    first, second = answer["labels"][0], answer["second"]
    assert visit.shown("between.jpg").endswith(f"\u2068{first}\u2069 or \u2068{second}\u2069")
    assert "confidence" in visit.card("between.jpg").locator(".summary").inner_text()
    visit.page.get_by_role("button", name="Uncertain 1").click()
    assert visit.card("between.jpg").is_visible() and not visit.card("plain.jpg").is_visible()


@pytest.mark.parametrize(
    "name",
    [f"{OWNED}.jpg", "'\"><script>document.title='owned'</script>.jpg", "🦠 أزرق 深蓝 ${1}.jpg", CONTROLS],
    ids=["image", "script", "letters", "controls"],
)
def test_names_are_escaped(visit: Visit, name: str) -> None:
    shown = printable(name)
    visit.add((name, each_class()[5][1]), (f"bad {name}", b"damaged"))
    visit.done(2)
    assert visit.page.locator(".file bdi").all_inner_texts() == [shown, f"bad {shown}"]
    assert visit.card(shown).first.locator(".best bdi").inner_text() == OWNED
    visit.card(shown).first.locator(".show-heat").click()
    visit.page.locator("#heat-image").wait_for()
    assert visit.page.locator("#heat-title").inner_text() == shown
    assert visit.page.locator("main script, main img:not([src^='blob:']):not([hidden])").count() == 0
    visit.page.keyboard.press("Escape")
    assert name in [original_text(row[0]) for row in csv.reader(io.StringIO(visit.table()))]


def test_the_page_works_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    with page.expect_file_chooser() as chooser:
        tab_to(page, "choose-photos")
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": "one.jpg", "mimeType": "image/jpeg", "buffer": each_class()[1][1]}])
    visit.done(1)
    playwright.expect(page.locator("#live")).to_contain_text("one.jpg: 深蓝色")
    tab_to(page, "model")
    tab_to(page, "top-k")
    tab_to(page, "csv")
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to(page, "show-heat")
    page.keyboard.press("Enter")
    page.locator("#heat-image").wait_for()
    assert (
        page.locator("#heat-image").get_attribute("alt")
        == "The photo, the heat map of the class \u2068深蓝色\u2069, and the most probable classes."
    )
    page.keyboard.press("Escape")
    assert page.locator("#heat").is_hidden()
    assert page.evaluate("document.activeElement.classList.contains('show-heat')")
    with page.expect_file_chooser():
        page.keyboard.press("Shift+Tab")
        tab_to(page, "choose-folder", key="Shift+Tab")
        page.keyboard.press(" ")


@pytest.mark.parametrize("visit", [PHONE, PHONE | {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_the_page_works_on_a_phone(visit: Visit) -> None:
    page = visit.page
    for moment in ("empty", "answered", "figure"):
        if moment == "answered":
            visit.add(*each_class(), ("x" * 200 + ".jpg", b"damaged"))
            visit.done(7)
        if moment == "figure":
            visit.card("photo-4.jpg").locator(".show-heat").tap()
            page.locator("#heat-image").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, moment
        for target in page.locator("button:visible, select:visible, input:visible, a:visible").all():
            box = target.bounding_box()
            assert box["height"] >= MIN_TOUCH_TARGET, (moment, target.inner_text())
    assert page.locator("#heat-frame").evaluate("frame => frame.scrollLeft") > 0
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (red + green + blue < 150) == dark


@pytest.mark.parametrize("visit", [DESKTOP, PHONE, PHONE | {"color_scheme": "dark"}], indirect=True)
def test_the_models_of_a_dataset_are_compared_in_a_table(visit: Visit, server: Server) -> None:
    page = visit.page
    page.locator("#leaderboard summary").press("Enter")
    [model] = server.metadata()["models"]
    row = page.locator("#leaderboard tbody tr td").all_inner_texts()
    assert page.locator("#leaderboard caption").inner_text() == "odd"
    assert row[:2] == ["odd", f"{100 * model['accuracy']:.1f} %"]
    assert row[4:] == [
        f"{model['training_seconds']:.0f}",
        f"{model['megabytes']:.1f}",
        f"{model['milliseconds_per_photo']:.1f}",
    ]
    assert model["training_seconds"] > 0 and model["milliseconds_per_photo"] > 0
    width = page.evaluate("document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_hundred_photos_are_cancelled_and_resumed(visit: Visit) -> None:
    page = visit.page
    content = each_class()[2][1]
    visit.add(*((f"{index:03}.jpg", content) for index in range(100)))
    page.locator(".card[data-state=answered]").nth(4).wait_for(state="attached")
    page.locator("#cancel").click()
    over = page.evaluate("document.querySelector('#progress').value")
    assert 5 <= over < 100
    playwright.expect(page.locator(".card[data-state=cancelled]")).to_have_count(100 - int(over))
    assert page.locator("#resume").is_visible()
    assert len(visit.table().splitlines()) == 1 + over
    page.locator("#resume").click()
    visit.done(100)
    assert visit.max_asking <= 3
    table = list(csv.reader(io.StringIO(visit.table())))
    assert [row[0] for row in table[1:]] == [f"{index:03}.jpg" for index in range(100)]
    assert len({tuple(row[1:]) for row in table[1:]}) == 1
    page.locator("#clear").click()
    assert page.locator(".card").count() == 0 and page.locator("#results").is_hidden()


def test_the_page_waits_for_a_service_that_stops(visit: Visit, line: Line) -> None:
    visit.add(each_class()[0])
    visit.done(1)
    line.cut()
    visit.add(*each_class()[1:4])
    playwright.expect(visit.page.locator("#notice")).to_contain_text("topgraft serve")
    assert visit.page.locator("#service").get_attribute("data-reachable") == "no"
    assert visit.page.locator(".card[data-state=failed]").count() == 0
    line.join()
    visit.done(4)
    assert visit.page.locator(".card[data-state=answered]").count() == 4
    playwright.expect(visit.page.locator("#notice")).to_be_hidden()


def test_the_page_waits_for_a_lost_worker_and_keeps_its_predictions(visit: Visit, server: Server) -> None:
    visit.add(each_class()[0])
    visit.done(1)
    asked = visit.count_questions()
    visit.keep_notices()
    end_decoding(server)
    visit.add(("large.png", large_photo()), *each_class()[1:3])
    worker_with_a_large_photo(server).kill()
    wait_until(lambda: "A new one is starting" in visit.noticed(), SECONDS)
    visit.done(4)
    assert "Start again" not in visit.noticed()
    assert visit.page.locator(".card[data-state=failed]").count() == 0
    playwright.expect(visit.page.locator("#notice")).to_be_hidden()
    assert "photo-0.jpg" not in asked


def test_the_page_waits_while_a_proxy_reports_the_service_unavailable(visit: Visit) -> None:
    def refuse(route: "playwright.Route") -> None:
        route.fulfill(status=503, content_type="text/html", body="<h1>503 Service Temporarily Unavailable</h1>")

    visit.page.route(QUESTIONS, refuse, times=1)
    visit.keep_notices()
    visit.add(each_class()[0])
    visit.done(1)
    assert "status 503" in visit.noticed()
    assert "Start again" not in visit.noticed()
    assert visit.shown("photo-0.jpg") == "red"


def test_photos_added_after_a_clear_do_not_wait_for_earlier_ones(visit: Visit) -> None:
    page = visit.page
    hold_up_four_times(visit)
    page.locator("#clear").click()
    with page.expect_request(QUESTIONS):
        visit.add(each_class()[1])
    playwright.expect(page.locator("#notice")).to_be_visible()
    page.unroute(QUESTIONS)
    page.clock.run_for(1000 * SECONDS_BETWEEN_CHECKS)
    visit.done(1)
    assert visit.shown("photo-1.jpg") == "深蓝色"


def test_a_restarted_service_is_soon_found_after_many_retries(visit: Visit, line: Line) -> None:
    page = visit.page
    hold_up_four_times(visit)
    page.unroute(QUESTIONS)
    line.cut()
    pass_time(page, lambda: page.locator("#service").get_attribute("data-reachable") == "no")
    line.join()
    page.clock.run_for(1000 * SECONDS_BETWEEN_CHECKS)
    visit.done(1)
    assert visit.shown("photo-0.jpg") == "red"


def test_a_damaged_model_stops_the_queue_until_the_user_resumes(visit: Visit, server: Server) -> None:
    hurt = server.home / "models" / "hurt"
    shutil.copytree(server.home / "models" / "odd", hurt)
    try:
        visit.page.reload()
        visit.ready()
        visit.page.select_option("#model", "hurt")
        visit.add(each_class()[0], ("text.jpg", b"no photo"))
        visit.done(2)
        whole = (hurt / "model.onnx").read_bytes()
        (hurt / "model.onnx").write_bytes(whole[:1000])
        asked = visit.count_questions()
        visit.add(*each_class()[1:4])
        start_again = visit.page.get_by_role("button", name="Start again")
        start_again.wait_for()
        assert "hurt" in visit.page.locator("#notice-text").inner_text()
        (hurt / "model.onnx").write_bytes(whole)
        start_again.click()
        visit.done(5)
        assert visit.page.locator(".card[data-state=answered]").count() == 4
        assert visit.page.locator("#counts").inner_text() == "5 of 5 by hurt"
        assert {"photo-1.jpg", "photo-2.jpg", "photo-3.jpg"} == set(asked)
    finally:
        shutil.rmtree(hurt)


def test_a_service_that_has_not_started_is_reported_and_waited_for(
    browser: "playwright.Browser", url: str, line: Line
) -> None:
    line.cut()
    context = browser.new_context(**DESKTOP)
    visit = Visit(context, url)
    playwright.expect(visit.page.locator("#notice")).to_contain_text("No DEEPaaS service answers")
    visit.add(each_class()[0])
    line.join()
    visit.ready()
    visit.done(1)
    assert visit.shown("photo-0.jpg") == "red"
    context.close()


def test_photos_of_a_model_deleted_midway_can_go_to_another(visit: Visit, server: Server) -> None:
    doomed = server.home / "models" / "doomed"
    shutil.copytree(server.home / "models" / "odd", doomed)
    visit.page.reload()
    visit.ready()
    visit.page.select_option("#model", "doomed")
    visit.add(each_class()[0])
    visit.done(1)
    shutil.rmtree(doomed)
    visit.add(*each_class()[1:4])
    playwright.expect(visit.page.locator("#notice")).to_contain_text("Choose another model")
    assert visit.page.locator(".card[data-state=failed]").count() == 0
    visit.page.select_option("#model", "odd")
    visit.done(4)
    playwright.expect(visit.page.locator("#counts")).to_have_text("4 of 4 by odd")
    playwright.expect(visit.page.locator("#notice")).to_be_hidden()


def test_only_the_photo_that_is_too_large_is_refused(visit: Visit, tmp_path: Path) -> None:
    large = tmp_path / "large.tif"
    with open(large, "wb") as file:
        file.truncate((128 << 20) + 1)
    small = tmp_path / "small.jpg"
    small.write_bytes(each_class()[0][1])
    visit.page.set_input_files("#photos", [large, small])
    visit.done(2)
    assert "at most 128 MB" in visit.card("large.tif").locator(".state").inner_text()
    assert visit.shown("small.jpg") == "red"


@pytest.mark.skipif("TOPGRAFT_SCREENSHOTS" not in os.environ, reason="made where TOPGRAFT_SCREENSHOTS names a folder")
def test_the_screenshot_of_the_documentation(visit: Visit, server: Server) -> None:
    write_demo_dataset(server.home / "data" / "demo", images_per_class=3)
    training = server.wait_for_training(server.start_training(dataset=str(REAL_DATASET), name="plankton"))
    assert training["status"] == "done", training
    visit.page.reload()
    visit.ready()
    visit.page.select_option("#model", "plankton")
    on_land = [path.read_bytes() for path in sorted((server.home / "data" / "demo").rglob("*.jpg"))]
    strange = next(content for content in on_land if has_mark(server, content, "plankton", "unknown"))
    photos = [sorted(folder.iterdir())[1] for folder in sorted((REAL_DATASET / "images").iterdir())]
    visit.add(*((f"photo-{path.name[-8:]}", path.read_bytes()) for path in photos), ("on-land.jpg", strange))
    visit.done(7)
    assert visit.shown("on-land.jpg").endswith("Unknown")
    visit.page.locator(".card img:visible").nth(6).wait_for()
    visit.page.screenshot(path=Path(os.environ["TOPGRAFT_SCREENSHOTS"]) / "page.png", full_page=True)
