"""The server: who may ask, what it answers, and names that two tabs and two servers write."""

import asyncio
import io
import json
import re
from base64 import b64encode
from hashlib import sha256

import httpx2
import numpy as np
import pytest
from conftest import number
from PIL import Image
from starlette.testclient import TestClient

from navbench import naming as naming_files
from navbench.errors import NavbenchError
from navbench.inspect.frames import Frames, render_on
from navbench.inspect.server import application
from navbench.library import open_set

TOKEN, PORT = "a-token", 8765
HOME = f"http://127.0.0.1:{PORT}"
OWN = {"Origin": HOME}


@pytest.fixture
def served():
    """A function that serves a session, as (application, frames); all are closed at the end."""
    opened = []

    def serve(session, **bounds):
        frames = Frames(render_on(session.bench), **bounds)
        opened.append(frames)
        return application(session, frames, TOKEN, PORT), frames

    yield serve
    for frames in opened:
        frames.close()


@pytest.fixture
def stranger(served, session):
    """A client that has not been given the address."""
    return TestClient(served(session)[0], base_url=HOME)


def greeted(app):
    client = TestClient(app, base_url=HOME)
    assert client.get(f"/?token={TOKEN}").status_code == 200
    return client


@pytest.fixture
def client(stranger):
    assert stranger.get(f"/?token={TOKEN}").status_code == 200
    return stranger


def save(client, direction, tab="one", seen=None, **changes):
    body = {"number": direction, "changes": changes, "seen": seen or {}, "tab": tab}
    return client.post("/names", json=body, headers=OWN)


def naming(client, direction):
    return client.get("/state").json()["namings"][direction]


# --- who may ask -------------------------------------------------------------------------------------------------

EVERYTHING = [("GET", path) for path in ("/", "/state", "/names", "/frames", "/nothing")]
EVERYTHING += [("POST", "/names"), ("POST", "/undo")]


@pytest.mark.parametrize("before", ['settings={"a":1}', "x=[1]", "odd", 'a="b'])
def test_cookies_of_other_servers_do_not_hide_its_own(stranger, before):
    cookie = stranger.get(f"/?token={TOKEN}").headers["set-cookie"].partition(";")[0]
    stranger.cookies.clear()
    for header in (f"{before}; {cookie}", f"{cookie}; {before}"):
        assert stranger.get("/state", headers={"Cookie": header}).status_code == 200
    assert stranger.get("/state", headers={"Cookie": before}).status_code == 403


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_nothing_is_answered_without_the_token(stranger, method, path):
    assert stranger.request(method, path, headers=OWN).status_code == 403
    for wrong in ("other", "", TOKEN[:-1], "ä"):
        assert stranger.request(method, path, params={"token": wrong}, headers=OWN).status_code == 403
    stranger.cookies.set(f"navbench-inspect-{PORT}", "other")
    assert stranger.request(method, path, headers=OWN).status_code == 403


def test_the_token_in_the_address_opens_the_page_alone(stranger):
    assert stranger.get(f"/state?token={TOKEN}").status_code == 403
    cookie = stranger.get(f"/?token={TOKEN}").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(re.split("; ?", cookie))
    assert stranger.get("/state").status_code == 200
    assert "set-cookie" not in stranger.get("/").headers


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "127.0.0.1", "", "[::1]:8765"])
@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_a_foreign_host_is_refused(client, method, path, host):
    assert client.request(method, path, headers=OWN | {"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", f"https://127.0.0.1:{PORT}", f"{HOME}.evil.example"]
)
@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_a_foreign_origin_is_refused(client, method, path, origin):
    assert client.request(method, path, headers={"Origin": origin}).status_code == 403


def test_nothing_is_written_without_an_origin(client):
    body = {"number": 0, "changes": {"label": "x"}, "seen": {}, "tab": "one"}
    assert client.post("/names", json=body).status_code == 403
    assert client.post("/undo", json={"tab": "one"}).status_code == 403
    assert naming(client, 0)["label"] == ""


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_pages_of_other_servers_of_this_machine_are_refused(client, site):
    assert client.get("/state", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.get("/state", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.get(f"/?token={TOKEN}", headers={"Sec-Fetch-Site": site}).status_code == 200  # a link to the address


def test_the_name_localhost_is_as_good(client):
    host = {"Host": f"localhost:{PORT}", "Origin": f"http://localhost:{PORT}"}
    assert client.get("/state", headers=host).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/templates/inspect.js",
        "/static/../../etc/passwd", "//etc/passwd", "/inspect.js", "/frames/../../etc/passwd", "/names/", "/%00",
    ],
)  # fmt: skip
def test_no_file_is_served(client, path):
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code in (307, 404)
    assert "root:" not in answer.text
    assert "[project]" not in answer.text


def test_the_page_admits_its_own_style_and_script_by_hash_and_asks_nobody_else(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        assert f"{kind} 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert not re.search(r"""\son[a-z]+=|\sstyle=|https?://|<script[^>]+src""", answer.text)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- frames ------------------------------------------------------------------------------------------------------


def frame(client, stacks, codes="s0.0,s0.1", side=64, **more):
    return client.get("/frames", params={"stacks": stacks, "codes": codes, "side": side, **more})


def test_a_frame_is_a_sheet_with_a_row_per_stack_and_a_column_per_code(client, session):
    answer = frame(client, "0:0;0:1.5;0:1.5,5:-1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert re.fullmatch(r"render;dur=[\d.]+", answer.headers["server-timing"])
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    height, width = session.generator.size
    assert picture.shape == (3 * height, 2 * width, 3)
    wanted = session.bench.images(session_stack("0:1.5"), session_codes("s0.0,s0.1"))
    assert np.array_equal(picture[height : 2 * height, :width], wanted[0].permute(1, 2, 0).numpy())


def session_stack(text):
    from navbench.inspect.bench import parse_stack

    return parse_stack(text)


def session_codes(text):
    from navbench.inspect.bench import parse_codes

    return parse_codes(text)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"stacks": "99:1"}, "no direction 99"),
        ({"stacks": "0:1,0:2"}, "in the stack already"),
        ({"stacks": "0:1,1:1,2:1,3:1,4:1"}, "1 to 4 directions"),
        ({"stacks": "x"}, "no direction with its shift"),
        ({"codes": "z"}, "no code"),
        ({"codes": "p0"}, "no photo 0"),
        ({"codes": ",".join(f"s0.{index}" for index in range(13))}, "at most 48 images"),
        ({"side": "-1"}, "side of its images"),
        ({"side": "huge"}, "side of its images"),
    ],
)
def test_a_frame_that_cannot_be_is_refused_in_a_sentence(client, query, complaint):
    answer = client.get("/frames", params={"stacks": "0:1", "codes": "s0.0", "side": "64"} | query)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]
    assert frame(client, "0:1").status_code == 200


def test_a_thousand_frames_at_once_are_answered_or_told_to_wait(served, session):
    app, frames = served(session, most_waiting=20, cache_bytes=20_000)

    async def ask_all():
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=HOME) as client:
            await client.get(f"/?token={TOKEN}")
            paths = [f"/frames?stacks=0:{t / 100}&codes=s0.{t % 7}&side=64" for t in range(1000)]
            return await asyncio.gather(*map(client.get, paths))

    answers = asyncio.run(ask_all())
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 503}
    assert codes.count(200) >= 20
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)
    assert frames.waiting == 0
    assert frames.cached_bytes <= 20_000
    assert frame(greeted(app), "0:1").status_code == 200


# --- names -------------------------------------------------------------------------------------------------------


def test_the_state_tells_what_there_is(client, session):
    state = client.get("/state").json()
    assert [direction["name"] for direction in state["directions"]] == session.shelf.names
    assert len(state["directions"]) == len(state["namings"]) == 16
    assert state["generator"] == "styled"
    assert state["kept"] == session.journal.paths
    assert state["photos"] == []


def test_a_name_is_in_the_sets_file_when_the_answer_comes(client, session, sets):
    direction = number(session, "styled/spectrum/convs.1/2")
    answer = save(client, direction, label="  smile\n ", t_max=3.5)
    assert answer.status_code == 200
    assert answer.json()["naming"] == {"label": "smile", "not_interpretable": False, "t_min": -3.0, "t_max": 3.5}
    assert answer.json()["replaced"] is None
    assert open_set(sets / "styled/spectrum/convs.1.safetensors").header["labels"][2] == "smile"
    assert naming(client, direction)["label"] == "smile"


def test_with_a_file_of_names_no_set_is_written_to(served, opened, sets, tmp_path):
    before = {path: path.read_bytes() for path in sets.rglob("*.safetensors")}
    client = greeted(served(opened(names=tmp_path / "names.csv"))[0])
    assert save(client, 1, label="smile").status_code == 200
    assert save(client, 9, not_interpretable=True).status_code == 200
    assert {path: path.read_bytes() for path in before} == before
    again = greeted(served(opened(names=tmp_path / "names.csv"))[0])
    assert naming(again, 1)["label"] == "smile"
    assert naming(again, 9)["not_interpretable"]


def test_undo_takes_back_what_the_tab_saved_last_and_nothing_of_others(client):
    save(client, 0, label="a")
    save(client, 0, label="b")
    save(client, 1, tab="two", label="c")

    def undo(tab):
        return client.post("/undo", json={"tab": tab}, headers=OWN).json()

    assert undo("one")["naming"]["label"] == "a"
    assert undo("one")["naming"]["label"] == ""
    assert undo("one") == {"number": None}
    assert naming(client, 1)["label"] == "c"
    assert undo("two")["number"] == 1
    assert naming(client, 1)["label"] == ""


def test_undo_brings_back_a_label_that_a_mark_took_away_and_a_range(client):
    before = naming(client, 0)
    save(client, 0, label="smile")
    save(client, 0, not_interpretable=True)
    save(client, 0, t_min=-9.25)
    for wanted in ({"t_min": before["t_min"]}, {"label": "smile", "not_interpretable": False}, {"label": ""}):
        told = client.post("/undo", json={"tab": "one"}, headers=OWN).json()["naming"]
        assert told.items() >= wanted.items()
    assert naming(client, 0) == before


def test_an_undo_that_cannot_be_written_can_be_tried_again(client, monkeypatch):
    for label in ("smile", "grin"):
        save(client, 3, label=label)

    def full(*_):
        raise NavbenchError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(naming_files, "amend", full)
        assert client.post("/undo", json={"tab": "one"}, headers=OWN).status_code == 400
    for left in ("smile", ""):
        client.post("/undo", json={"tab": "one"}, headers=OWN)
        assert naming(client, 3)["label"] == left


def test_undo_leaves_what_somebody_else_has_changed_since(client):
    save(client, 0, label="mine")
    save(client, 0, tab="two", label="theirs")
    refused = client.post("/undo", json={"tab": "one"}, headers=OWN)
    assert refused.status_code == 400
    assert "changed elsewhere since" in refused.json()["error"]
    assert naming(client, 0)["label"] == "theirs"


def test_two_tabs_lose_nothing_of_each_other(client):
    seen = naming(client, 3)
    save(client, 3, tab="one", seen=seen, label="smile")
    second = save(client, 3, tab="two", seen=seen, t_max=8.0).json()  # has not seen the label
    assert second["replaced"] is None
    assert (second["naming"]["label"], second["naming"]["t_max"]) == ("smile", 8.0)


def test_the_later_of_two_tabs_wins_and_both_can_tell(client):
    seen = naming(client, 3)
    version = client.get("/names").json()["version"]
    save(client, 3, tab="one", seen=seen, label="smile")
    later = save(client, 3, tab="two", seen=seen, label="grin").json()
    assert later["naming"]["label"] == "grin"
    assert later["replaced"]["label"] == "smile"
    names = client.get("/names", params={"version": version})
    assert names.json()["namings"][3]["label"] == "grin"  # what the earlier tab learns
    assert client.get("/names", params={"version": names.json()["version"]}).status_code == 204


def test_two_servers_of_one_file_see_each_other(served, opened):
    first, second = (greeted(served(opened())[0]) for _ in range(2))
    save(first, 2, label="smile")
    save(second, 3, label="hair")
    assert [naming(client, 2)["label"] for client in (first, second)] == ["smile", "smile"]
    assert [naming(client, 3)["label"] for client in (first, second)] == ["hair", "hair"]


HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='x",
    "\u202etxt",
    "{{7*7}}",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_are_data_and_never_part_of_the_page(client, label):
    page = client.get("/").text
    told = save(client, 0, label=label)
    assert told.headers["content-type"] == "application/json"
    assert naming(client, 0)["label"] == label.replace("\u202e", "")
    assert client.get("/").text == page


def test_the_script_puts_no_text_into_the_page_as_markup(client):
    script = re.search(r"<script>(.*?)</script>", client.get("/").text, re.DOTALL)[1]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


@pytest.mark.parametrize(
    "body",
    [
        {"number": 99, "changes": {"label": "x"}, "seen": {}, "tab": "one"},
        {"number": -1, "changes": {"label": "x"}, "seen": {}, "tab": "one"},
        {"number": "0", "changes": {"label": "x"}, "seen": {}, "tab": "one"},
        {"number": 0, "changes": {"label": 3}, "seen": {}, "tab": "one"},
        {"number": 0, "changes": {"path": "/etc/passwd"}, "seen": {}, "tab": "one"},
        {"number": 0, "changes": {"t_max": -1}, "seen": {}, "tab": "one"},
        {"number": 0, "changes": [], "seen": {}, "tab": "one"},
        {"number": 0, "changes": {}, "seen": {}, "tab": ""},
        {"number": 0, "changes": {}, "seen": {}, "tab": "x" * 99},
        {},
        [],
    ],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(client, body):
    before = client.get("/state").json()["namings"]
    answer = client.post("/names", json=body, headers=OWN)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert client.get("/state").json()["namings"] == before


def test_bodies_that_are_no_json_or_too_large_are_refused(client):
    typed = OWN | {"Content-Type": "application/json"}
    assert client.post("/names", content=b"{", headers=typed).status_code == 400
    assert client.post("/names", content=b"[" * 60_000, headers=typed).status_code == 400
    assert client.post("/names", content=b"x" * 70_000, headers=typed).status_code == 413
    assert (
        client.post("/names", content=json.dumps({}), headers=OWN | {"Content-Type": "text/plain"}).status_code == 415
    )
    assert client.put("/names", json={}, headers=OWN).status_code == 405


def test_a_set_that_is_gone_is_told_in_a_sentence(client, sets):
    for path in sets.rglob("*.safetensors"):
        path.unlink()
    answer = save(client, 0, label="x")
    assert answer.status_code == 400
    assert "not a navbench direction set" in answer.json()["error"]
