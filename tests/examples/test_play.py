"""The page's server: every answer against the run's own operations, every bad question refused, and who may ask."""

import base64
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from examples.playing.answers import ANSWERS, FIELDS, Player, warm_up
from examples.playing.config import DEFAULT_RUN, PlayConfig
from examples.playing.drawings import prepare
from examples.playing.play import address_of, check_run, listen
from examples.playing.requests import LARGEST_BODY, Asked, read_request
from examples.playing.server import STATIC, build_app
from examples.playing.views import MOST_NODES, view_of
from rnp_pyro.api.opening import open_trained
from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.files import tree_from_json

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"


def seven(side: int = 48, left: int = 8) -> list[list[int]]:
    """A seven, off the middle."""
    ink = np.zeros((side, side), int)
    ink[6:10, left : left + 18] = 255
    for row in range(10, 36):
        column = left + 17 - (row - 10) // 3
        ink[row, column - 3 : column + 1] = 255
    return ink.tolist()


@pytest.fixture(scope="session")
def player(digits_run) -> Player:
    return Player(open_trained(digits_run[0]))


@pytest.fixture(scope="session")
def client(player: Player) -> Any:
    from fastapi.testclient import TestClient

    return TestClient(build_app(player), base_url=ADDRESS, raise_server_exceptions=True)


@pytest.fixture
def ask(client):
    """Ask, and expect an answer."""

    def question(name: str, **fields: Any) -> dict[str, Any]:
        answered = client.post(f"/api/{name}", json=fields)
        assert answered.status_code == 200, answered.text
        return answered.json()

    return question


@pytest.fixture
def refused(client):
    """Ask, and expect one line of JSON; return it."""

    def question(name: str, status: int = 400, **fields: Any) -> str:
        answered = client.post(f"/api/{name}", json=fields)
        assert answered.status_code == status, answered.text
        assert set(answered.json()) == {"error"}
        assert "\n" not in answered.json()["error"]
        return answered.json()["error"]

    return question


def pixels(picture: list[Any]) -> np.ndarray:
    rows, columns, content = picture
    return np.frombuffer(base64.b64decode(content), np.uint8).reshape(rows, columns)


def printed(canvas: torch.Tensor) -> np.ndarray:
    return (255 * canvas.detach()[0].clamp(0, 1)).round().to(torch.uint8).numpy()


def plain(tree) -> dict[str, Any]:
    """A tree's JSON without what it says of its origin."""
    return {**tree.to_json(), "about": {}}


# Answers are the run's own


def test_what_the_page_is_told(client, player):
    told = client.get("/api/about").json()
    assert told["side"] == 12
    assert told["num_steps"] == [3, 2]
    assert told["colours"][0] == [0x1F, 0x5F, 0xBF]
    assert told["digits"]


def test_a_parse_is_the_runs_own(ask, player):
    answer = ask("parse", ink=seven())
    own = player.run.parse(prepare(player.run, np.array(seven(), np.uint8), "fit"))[0]
    assert answer["tree"] == plain(own)
    assert answer["squared_error"] == pytest.approx(own.squared_error)
    assert (pixels(answer["view"]["image"]) == printed(own.canvas)).all()
    assert (pixels(answer["given"]) == printed(own.image)).all()
    assert answer["milliseconds"] > 0


def test_a_drawing_is_centred_and_scaled_as_mnists_digits_are(player):
    """Wherever and however large it is drawn; left alone, it stays where it is."""
    small, shifted = (np.array(seven(left=left), np.uint8) for left in (8, 20))
    fitted = [prepare(player.run, ink, "fit") for ink in (small, shifted)]
    assert (fitted[0] == fitted[1]).all()
    rows, _ = np.nonzero(fitted[0][0, 0] > 100)
    assert 7 <= rows.max() - rows.min() + 1 <= 10, "20 of 28 pixels are 8.6 of 12"
    middle = np.average(np.arange(12) + 0.5, weights=fitted[0][0, 0].sum(1).astype(float))
    assert abs(middle - 6) < 0.75
    left, right = (prepare(player.run, ink, "as drawn")[0, 0] for ink in (small, shifted))
    assert np.average(np.arange(12), weights=left.sum(0)) < np.average(np.arange(12), weights=right.sum(0)) - 2


def test_every_node_is_shown_where_it_is(ask):
    view = ask("parse", ink=seven())["view"]
    paths = [tuple(node["path"]) for node in view["nodes"]]
    assert paths == [(0,), (1,), (2,), (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert all(pixels(node["ink"]).shape == (12, 12) for node in view["nodes"])
    for node in view["nodes"]:
        ink = pixels(node["ink"]).astype(float)
        if ink.sum() > 500:  # enough of it for a middle
            middle = [2 * np.average(np.arange(12) + 0.5, weights=ink.sum(axis)) / 12 - 1 for axis in (0, 1)]
            reach = np.abs(np.array(node["pose"])[:, :2]).sum(1) + 0.2
            assert (np.abs(np.array(middle) - np.array(node["pose"])[:, 2]) <= reach).all()


def test_a_moved_part(ask, player):
    tree = ask("parse", ink=seven())["tree"]
    answer = ask("move", tree=tree, part=[1], right=0.25, down=-0.5, turn=30, scale=1.2)
    own = player.run.parse(prepare(player.run, np.array(seven(), np.uint8), "fit"))[0]
    expected = own.move([1], shift=(0.25, -0.5), turn=30, scale=1.2)
    assert answer["tree"] == plain(expected)
    assert (pixels(answer["view"]["image"]) == printed(expected.canvas)).all()
    inner = ask("move", tree=tree, part=[1, 0], turn=10)
    assert inner["tree"] == plain(own.move([1, 0], turn=10))


@pytest.fixture
def two(ask, player) -> tuple[Any, Any, Any, Any]:
    """Two drawings' trees, as the page and as the run have them."""
    inks = (seven(), np.array(seven()).T.tolist())
    given = [ask("parse", ink=ink)["tree"] for ink in inks]
    own = [player.run.parse(prepare(player.run, np.array(ink, np.uint8), "fit"))[0] for ink in inks]
    return given[0], given[1], own[0], own[1]


@pytest.mark.parametrize("with_pose", [False, True])
def test_swapped_parts(ask, two, with_pose: bool):
    one, other, own, own_other = two
    answer = ask("swap", tree=one, other=other, part=[0], other_part=[2], with_pose=with_pose)
    expected = own.swap(own_other, [0], [2], with_pose)
    assert [shown["tree"] for shown in answer["trees"]] == [plain(tree) for tree in expected]


def test_between_two_programs(ask, two):
    one, other, own, own_other = two
    mixed = ask("interpolate", tree=one, other=other, weight=0.3, of="root")
    assert mixed["tree"] == plain(own.interpolate(own_other, 0.3))
    for weight, end in ((0, own), (1, own_other)):
        shown = ask("interpolate", tree=one, other=other, weight=weight)
        assert np.abs(pixels(shown["view"]["image"]).astype(int) - printed(end.canvas)).max() <= 1
    half = ask("interpolate", tree=one, other=other, weight=0.5)["tree"]["root"]["z"]
    assert half == pytest.approx((np.array(one["root"]["z"]) + np.array(other["root"]["z"])) / 2, abs=1e-6)


def test_a_sample_is_the_runs_own(ask, player):
    answer = ask("sample", temperature=0.7, seed=5)
    expected = player.run.sample(1, temperature=0.7, seed=5)
    assert (pixels(answer["view"]["image"]) == printed(expected.images[0])).all()
    assert ask("sample", temperature=0.7, seed=5)["tree"] == answer["tree"]
    assert ask("sample", temperature=0.7, seed=6)["tree"] != answer["tree"]


def test_how_sure_it_is(ask):
    answer = ask("sure", ink=seven(), draws=6, seed=1)
    assert len(answer["draws"]) == 6
    assert pixels(answer["spread"]).shape == (12, 12)
    assert answer["neg_elbo"] == pytest.approx(answer["reconstruction"] + answer["kl"], rel=1e-4)
    assert answer["standard_error"] > 0
    again = ask("sure", ink=seven(), draws=6, seed=1)
    assert {**again, "milliseconds": 0} == {**answer, "milliseconds": 0}


@pytest.mark.thorough
@pytest.mark.parametrize("hidden", ["top", "bottom", "left", "right"])
def test_a_completion_does_not_look_at_the_hidden_half(ask, hidden: str):
    half = {"top": np.s_[:24], "bottom": np.s_[24:], "left": np.s_[:, :24], "right": np.s_[:, 24:]}[hidden]
    ink = np.array(seven())
    if not (np.delete(ink, np.arange(48)[half[-1]] if isinstance(half, tuple) else np.arange(48)[half],
                      axis=1 if isinstance(half, tuple) else 0) > 0).any():  # fmt: skip
        ink[20:40, 20:40] = 255
    other = ink.copy()
    other[half] = 0
    answers = [ask("complete", ink=one.tolist(), placed="as drawn", hidden=hidden, draws=3) for one in (ink, other)]
    assert pixels(answers[0]["expected"]) == pytest.approx(pixels(answers[1]["expected"]), abs=1)
    assert len(answers[0]["draws"]) == 3


# Bad questions


GOOD: dict[str, dict[str, Any]] = {
    "parse": {"ink": seven()},
    "sure": {"ink": seven()},
    "complete": {"ink": seven(), "hidden": "top"},
}
"""Questions that begin with a drawing."""

BAD_INK = {
    "none": None,
    "text": "ink",
    "empty": [],
    "tiny": [[255]],
    "oblong": [[255] * 8] * 7,
    "ragged": [[255] * 8] * 7 + [[255] * 9],
    "huge": [[0] * 257] * 257,
    "floats": [[0.5] * 8] * 8,
    "too bright": [[256] * 8] * 8,
    "negative": [[-1] * 8] * 8,
    "booleans": [[True] * 8] * 8,
    "nested": [[[255]] * 8] * 8,
    "blank": [[0] * 8] * 8,
}


@pytest.mark.parametrize("name", BAD_INK)
def test_a_drawing_that_is_none(refused, name: str):
    for question, good in GOOD.items():
        assert refused(question, **{**good, "ink": BAD_INK[name]}).startswith("expected ")


def test_numbers_that_do_not_fit(refused):
    tree = {"root": {}}
    for name, fields, expected in [
        ("move", {"tree": tree, "part": [0], "turn": 1e9}, "expected turn to be a number within"),
        ("move", {"tree": tree, "part": [0], "scale": 0}, "expected scale to be"),
        ("move", {"tree": tree, "part": [0], "right": "1"}, 'got "1"'),
        ("sample", {"temperature": -1}, "expected temperature"),
        ("sample", {"seed": 1.5}, "expected seed to be a whole number"),
        ("sample", {"seed": 2**40}, "expected seed to be a whole number"),
        ("sure", {"ink": seven(), "draws": 1}, "expected draws"),
        ("sure", {"ink": seven(), "draws": 10**6}, "expected draws"),
        ("complete", {"ink": seven(), "hidden": "middle"}, "expected hidden to be one of top"),
        ("parse", {"ink": seven(), "placed": ["fit"]}, "expected placed to be one of fit"),
    ]:
        assert expected in refused(name, **fields)


@pytest.mark.thorough
def test_what_a_question_does_not_say_is_refused_by_its_name(client, refused):
    assert refused("sample", temp=1) == ('expected fields of sample, temperature, seed, got "temp": leave it out')
    assert 'expected fields of parse, ink, placed, got "image"' in refused("parse", image=[])
    assert "use POST" in client.get("/api/parse").json()["error"]
    assert set(FIELDS) == set(ANSWERS)


def test_trees_that_do_not_fit(ask, refused):
    tree = ask("parse", ink=seven())["tree"]
    assert "expected tree to be a tree" in refused("move", tree=3, part=[0])
    assert '"format": "rnp-pyro tree"' in refused("move", tree={}, part=[0])
    assert "expected children of the root" in refused("move", tree={**tree, "num_steps": [2, 2]}, part=[0])
    for field in set(tree) - {"about", "leak"}:
        refused("move", tree={**tree, field: None}, part=[0])
    root = {**tree["root"], "z": tree["root"]["z"][:-1]}
    refused("move", tree={**tree, "root": root}, part=[0])
    assert "expected other to be a tree" in refused("swap", tree=tree, part=[0])
    for part in (None, [], [9], [0, 9], [0, 0, 0], ["0"], [True], "0", [-1]):
        assert "part" in refused("move", tree=tree, part=part)
    assert "one level" in refused("swap", tree=tree, other=tree, part=[0], other_part=[0, 1])


def test_numbers_beyond_all_sense_are_answered_or_refused(client, ask):
    """A pose without an inverse, or programs that overflow."""
    tree = ask("parse", ink=seven())["tree"]
    for pose in ([[0, 0, 0], [0, 0, 0]], [[1e30, 0, 1e38], [0, 1e38, 1e38]]):
        for size in (1e38, 1.0):
            child = {**tree["root"]["children"][0], "pose": pose}
            root = {"z": [size] * len(tree["root"]["z"]), "children": [child, *tree["root"]["children"][1:]]}
            bad = {**tree, "root": root}
            for name, fields in (("move", {"part": [0, 1]}), ("interpolate", {"other": bad, "weight": 0.5})):
                answered = client.post(f"/api/{name}", json={"tree": bad, **fields})
                assert answered.status_code in (200, 400)
                assert "\n" not in answered.text


def test_trees_of_two_depths_are_not_mixed(ask, refused, player):
    tree = ask("parse", ink=seven())["tree"]
    cut = plain(player.run.parse(prepare(player.run, np.array(seven(), np.uint8), "fit"))[0].truncate(1))
    assert "expected two trees of one depth" in refused("interpolate", tree=tree, other=cut, weight=0.5)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "expected a JSON object, got something else"),
        (b"ink", "expected a JSON object, got something else"),
        (b"\xff\xfe", "expected a JSON object, got something else"),
        (b"[1]", "expected the request to be a JSON object, got [1]"),
        (b'{"temperature": NaN}', "expected finite numbers, got NaN"),
        (b'{"temperature": -Infinity}', "expected finite numbers, got -Infinity"),
        (b'{"temperature": 1e999}', "expected temperature to be a number within 0 to 4"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "expected a JSON object"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "expected"),
    ],
)
def test_what_is_no_json(client, body: bytes, expected: str):
    answered = client.post("/api/sample", content=body, headers={"content-type": "application/json"})
    assert answered.status_code == 400
    assert answered.json()["error"].startswith(expected)


def test_what_is_too_large(client):
    """However it is sent: with its length, or in pieces without one."""
    big = b" " * (LARGEST_BODY + 1)
    headers = {"content-type": "application/json"}
    for content in (big, iter([big[: LARGEST_BODY // 2]] * 3)):
        answered = client.post("/api/parse", content=content, headers=headers)
        assert answered.status_code == 413
        assert answered.json() == {"error": f"expected at most {LARGEST_BODY} bytes"}


def test_addresses_and_methods_that_are_none(client):
    for method, path, status in [
        ("POST", "/api/nope", 404),
        ("GET", "/api/parse", 405),
        ("GET", "/nope", 404),
        ("GET", "/static/nope.js", 404),
        ("GET", "/static/..%2fserver.py", 404),
        ("GET", "/docs", 404),
        ("PUT", "/", 405),
    ]:
        answered = client.request(method, path, headers={"content-type": "application/json"})
        assert (answered.status_code, set(answered.json())) == (status, {"error"}), path


# Who may ask


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7", "", "[", "localhost@evil"])
def test_foreign_hosts_are_refused(client, host: str):
    for path in ("/", "/api/about"):
        assert client.get(path, headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:9", ""])
def test_foreign_origins_are_refused(client, origin: str):
    answered = client.post("/api/sample", json={}, headers={"origin": origin})
    assert answered.status_code == 403
    assert set(answered.json()) == {"error"}


def test_the_pages_own_origin_is_served(client):
    assert client.post("/api/sample", json={}, headers={"origin": ADDRESS}).status_code == 200
    assert client.get("/api/about", headers={"host": "localhost:8000"}).status_code == 200
    assert client.get("/api/about", headers={"host": "[::1]:8000"}).status_code == 200


def test_a_form_cannot_ask(client):
    """Another site's form can send text, but no JSON."""
    answered = client.post("/api/sample", content=b"{}", headers={"content-type": "text/plain"})
    assert answered.status_code == 415


def test_other_machines_name_the_host_that_was_asked_for(player):
    from fastapi.testclient import TestClient

    everywhere = TestClient(build_app(player, "0.0.0.0"), base_url=ADDRESS)
    assert everywhere.get("/api/about", headers={"host": "192.168.0.7:8000"}).status_code == 200
    assert everywhere.get("/api/about", headers={"host": "evil.example"}).status_code == 403
    named = TestClient(build_app(player, "studio.lan"), base_url=ADDRESS)
    assert named.get("/api/about", headers={"host": "studio.lan:8000"}).status_code == 200
    assert named.get("/api/about", headers={"host": "192.168.0.7"}).status_code == 403


def test_the_page_keeps_to_itself(client):
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file.name
        assert "https://" not in text, file.name
        assert client.get(f"/static/{file.name}").text == file.read_text(encoding="utf-8")
    kinds = {client.get(f"/static/{name}").headers["content-type"].split(";")[0] for name in ("main.js", "style.css")}
    assert kinds == {"text/javascript", "text/css"}


def test_no_text_is_smaller_than_12_pixels():
    import re

    sizes = re.findall(r"font(?:-size)?:[^;}]*?([\d.]+)px", (STATIC / "style.css").read_text(encoding="utf-8"))
    assert len(sizes) > 5
    assert min(map(float, sizes)) >= 12


# Other runs, addresses, ends


def test_deep_trees_are_shown_from_the_top(make_tree):
    from rnp_pyro.part_tree.value import select, tree_value

    tree = make_tree(num_steps=(13, 13), latent_size=4)
    with torch.no_grad():
        value = select(tree_value(tree, tree.unfold(torch.zeros(1, 4))), 0)
    assert MOST_NODES < 13 + 13 * 13
    assert len(view_of(value)["nodes"]) == 13


@pytest.mark.thorough
def test_runs_that_cannot_be_drawn_for(call, colour_run, vae_run):
    message = call("play", colour_run[0], "--port=0").error
    assert (
        message == f"expected a run of grey images to draw for, got {colour_run[0]} of colour images: name another run"
    )
    assert "expected a run of a model with parts" in call("play", vae_run[0]).error


@pytest.mark.thorough
def test_grey_pictures_that_are_no_digits_stay_where_they_are_drawn(grey_run):
    run = open_trained(grey_run[0])
    check_run(run, "grey")
    player = Player(run)
    warm_up(player)
    ink = np.array(seven(), np.uint8)
    given = prepare(run, ink, "fit")
    assert (given == prepare(run, ink, "as drawn")).all()
    for name, fields in {"parse": {}, "sure": {}, "complete": {"hidden": "bottom"}}.items():
        assert ANSWERS[name](player, Asked({"ink": seven(), **fields}))
    assert ANSWERS["parse"](player, Asked({"ink": seven()}))["tree"] == plain(run.parse(given)[0])


def test_ports(call):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert address_of(taken) == f"http://127.0.0.1:{port}/"
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1 port {port}: .*--port, 0 takes a free one"):
            listen("127.0.0.1", port)
    with pytest.raises(UserError, match="--host"):
        listen("no such host", 0)
    assert "--port must be within 0 to 65535, got 70000" in call("play", "--port=70000").error


def test_a_missing_extra(call, monkeypatch, digits_run):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    message = call("play", digits_run[0]).error
    assert message == "expected fastapi and uvicorn to be installed: pip install 'rnp-pyro[play]'"


def test_defaults():
    config = PlayConfig()
    assert (config.run, config.host, config.open) == (DEFAULT_RUN, "127.0.0.1", False)


def test_trees_hold_no_folder(ask, player):
    tree = ask("parse", ink=seven())["tree"]
    assert str(player.run.path) not in json.dumps(tree)
    assert tree_from_json(tree, "it", player.run.tree).num_levels == 2
    assert read_request(b'{"seed": 3}').whole("seed", 0, 9, 0) == 3


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_quietly(digits_run, number: int):
    command = [sys.executable, "-m", "examples.play", str(digits_run[0]), "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "draw at http://127.0.0.1:" in line
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as asking:
            asking.sendall(f"GET /api/about HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert b"200 OK" in asking.recv(4096)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert err == ""
        assert out.strip() == ""
        assert process.returncode in (0, 130, -number, 128 + number)
