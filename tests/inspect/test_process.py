"""The command itself, in a process of its own: what it says, how it ends, and what survives a kill."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from navbench.cli import inspect as command
from navbench.cli import main
from navbench.library import open_set

SECONDS = 120
TESTS = Path(__file__).parent.parent


class Server:
    """A server of some sets in a process, and what a browser would send it.

    Attributes:
        said: what it printed at its beginning.
    """

    def __init__(self, *arguments):
        path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "navbench", "inspect", *map(str, arguments), "--generator", "analytic:styled"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.said = ""
        while not self.said.endswith("Ctrl-C ends it.\n"):
            line = self.process.stdout.readline()
            assert line, self.said + self.process.stderr.read()
            self.said += line
        found = re.search(r"http://\S+", self.said)
        self.address = urlsplit(found[0])
        status, headers, self.page = self.ask("GET", f"/?{self.address.query}")
        assert status == 200
        self.cookie = headers["set-cookie"].partition(";")[0]

    def ask(self, method, path, body=None, **headers):
        """Status, headers and content; the path goes out as it is written here."""
        host = self.address.netloc
        sent = {"Host": host, "Cookie": getattr(self, "cookie", ""), "Origin": f"http://{host}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=SECONDS)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, sent | {"Content-Type": "application/json"} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def label(self, number, label):
        body = {"number": number, "changes": {"label": label}, "seen": {}, "tab": "one"}
        return self.ask("POST", "/names", body)[0]

    def end(self, number=signal.SIGINT):
        """What it printed then, and how it ended."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=SECONDS)
        return output, errors, self.process.returncode


@pytest.fixture
def start(sets):
    """A function that starts a server; those that still run are killed at the end."""
    started = []

    def begin(*arguments):
        started.append(Server(*(arguments or (sets / "styled/spectrum/convs.0.safetensors",))))
        return started[-1]

    yield begin
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate(timeout=SECONDS)


def test_it_says_its_address_and_where_names_go_and_ends_by_ctrl_c(start, sets):
    server = start()
    assert server.address.hostname == "127.0.0.1"
    assert server.address.port > 0
    output, errors, code = server.end()
    assert str(sets / "styled/spectrum/convs.0.safetensors") in server.said
    assert "what was saved is saved" in output
    assert (errors, code) == ("", 0)


def test_a_browser_is_given_a_private_file_and_not_the_token(tmp_path, monkeypatch, sets):
    browser, told = tmp_path / "browser", tmp_path / "told"
    part = tmp_path / "part"
    script = f"""printf '%s\\n' "$1" > {part}; cat "${{1#file://}}" >> {part}; mv {part} {told}"""
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    server = Server(sets / "styled/spectrum/convs.0.safetensors", "--open")
    for _ in range(100 * SECONDS):
        if told.exists():
            break
        time.sleep(0.01)
    server.end()
    given, page = told.read_text().splitlines()
    assert given.startswith("file://")
    assert "token" not in given
    assert server.address.geturl() in page
    assert not Path(given.removeprefix("file://")).exists()


def test_a_name_survives_a_kill_right_after_it_was_confirmed(start, sets):
    path = sets / "styled/spectrum/convs.0.safetensors"
    for round_ in range(2):
        server = start(path)
        assert server.label(round_, f"smile {round_}") == 200
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(SECONDS)
        assert open_set(path).header["labels"][: round_ + 1] == [f"smile {each}" for each in range(round_ + 1)]


def test_a_kill_while_names_are_written_loses_none_that_was_confirmed(start, sets):
    path = sets / "styled/spectrum/convs.0.safetensors"
    server, confirmed = start(path), {}

    def write(number):
        count = 0
        while True:
            try:
                if server.label(number, f"{number} {count}") == 200:
                    confirmed[number] = count
            except (OSError, http.client.HTTPException):
                return
            count += 1
            if sum(confirmed.values()) > 20:
                os.kill(server.process.pid, signal.SIGKILL)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    labels = open_set(path).header["labels"]
    for number, count in confirmed.items():
        kept, _, kept_count = labels[number].partition(" ")
        assert kept == str(number)
        assert int(kept_count) >= count  # or one that was written and not confirmed any more
    assert start(path).label(0, "after") == 200


def test_two_servers_of_one_set_lose_nothing_of_each_other(start, sets):
    path = sets / "styled/spectrum/convs.0.safetensors"
    servers = [start(path), start(path)]

    def write(number):
        return [servers[number % 2].label(number, f"{number} {count}") for count in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [[200] * 5] * 4
    assert open_set(path).header["labels"] == [f"{number} 4" for number in range(4)]


def test_hundreds_of_connections_at_once_are_answered_and_it_lives(start):
    server = start()

    def ask(t):
        return server.ask("GET", f"/frames?stacks=0:{t / 100}&codes=s0.0,s0.1&side=64")[0]

    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(ask, range(1000)))
    assert set(answers) <= {200, 503}
    assert answers.count(200) > 40
    assert server.label(0, "smile") == 200
    assert server.end()[2] == 0


def test_paths_out_of_the_server_lead_nowhere_and_strangers_get_403(start):
    server = start()
    for path in ("/../pyproject.toml", "/../../../../etc/passwd", "/./../x", "//etc/passwd", "/%2e%2e/x"):
        status, _, content = server.ask("GET", path)
        assert status == 404
        assert b"root:" not in content
    assert server.ask("GET", "/state", Host="evil.example")[0] == 403
    assert server.ask("GET", "/state", Origin="http://evil.example")[0] == 403
    assert server.ask("GET", "/state", Cookie="")[0] == 403
    assert server.ask("GET", "/state")[0] == 200


# --- the command line ----------------------------------------------------------------------------------------------


def refused(*arguments):
    result = CliRunner().invoke(main, ["inspect", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    sentence = result.stderr.strip().removeprefix("Error: ")
    assert "\n" not in sentence
    return sentence


def test_without_the_extra_it_names_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(command.NavbenchError, match=r"by uvicorn, which is not installed.*navbench\[inspect\]"):
        command._check_extra()


def test_what_cannot_be_inspected_is_told_in_a_sentence(sets, tmp_path):
    own = ("--generator", "analytic:styled", "--directions", sets)
    assert "did you mean" in refused("carz")
    assert "Say which generator or sets to inspect: cars, eyes, faces" in refused()
    assert "found on weights" in refused("cars/svd/convs.1", "--generator", "analytic:styled")
    assert "inspect one generator at a time" in refused("cars/svd/convs.1", "faces/svd/main.6")
    assert "not installed; name it by --generator" in refused("styled", "--directions", sets)
    assert "does not hold the codes of a photo" in refused("styled", "--codes", tmp_path / "no.safetensors", *own)
    assert "holds no photo" in refused("styled", "--codes", sets, *own)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be used" in refused("styled", "--port", port, *own)
    assert "say both" in refused("styled", "--key", tmp_path / "key.csv")
    (tmp_path / "names.csv").write_text("direction,label,t_min\nstyled/spectrum/convs.0/0,a,b\n")
    assert "not a number" in refused("styled", "--names", tmp_path / "names.csv", *own)
