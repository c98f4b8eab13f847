"""Forms in a real Chromium without its script: what it sends is what Iris takes, and what comes back can be used by all."""

from chromium import faults


def test_forms_that_are_refused_and_races_that_are_lost_are_for_everybody(browse, http):
    page = browse("/new", java_script_enabled=True, axe=True)
    page.get_by_label("title").fill("x" * 301)
    page.get_by_label("description").fill("Typed by hand\n\nfor an hour")
    page.get_by_role("button", name="File").click()
    page.wait_for_selector('[data-code="invalid_value"]')
    # One is where one has to go on, and hears what is wrong there.
    field = page.locator(":focus")
    assert field.get_attribute("name") == "title"
    assert "300" in page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text()
    assert faults(page) == []
    field.fill("Short")
    page.get_by_role("button", name="Send again").click()
    page.wait_for_selector(".done")
    number = page.locator("body").get_attribute("data-ticket")
    row = http.get(f"/tickets/{number}").json
    assert (row["title"], row["description"]) == ("Short", "Typed by hand\n\nfor an hour")

    page.get_by_text("Change", exact=True).first.click()
    page.locator("#change-title").fill("Mine")
    http.put(f"/tickets/{number}", title="Theirs")
    page.locator(".change button").click()
    page.wait_for_selector('[data-code="version_moved_on"]')
    assert faults(page) == []
    page.get_by_label("Theirs").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(".ticket")
    assert http.get(f"/tickets/{number}").json["title"] == "Theirs"


def test_all_of_it_without_script(browse, http):
    page = browse("/new", java_script_enabled=False)
    page.get_by_label("title").fill("Filed by hand")
    page.get_by_role("button", name="File").click()
    page.wait_for_selector(".done")
    page.locator("#new-body").fill("Two\nlines")
    page.get_by_role("button", name="Comment", exact=True).click()
    page.get_by_text("commented").wait_for()
    (comment,) = http.get("/comments").json
    assert comment["body"] == "Two\nlines"
    number = comment["ticket_id"]
    page.goto("/tickets?view=board")
    card = page.locator(f'[data-ticket="{number}"]')
    card.get_by_role("combobox").select_option("active")
    card.get_by_role("button", name="Move").click()
    page.wait_for_selector(f'[data-column="active"] [data-ticket="{number}"]')
    page.locator(".done button").click()
    page.wait_for_selector(f'[data-column="open"] [data-ticket="{number}"]')
    assert http.get(f"/tickets/{number}").json["status"] == "open"
