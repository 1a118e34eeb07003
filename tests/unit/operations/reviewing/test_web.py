"""The server: which requests it allows, and what they do. Without sockets: the tests call ASGI."""

import asyncio
import json
import re
from unittest.mock import patch

import pytest

from common.labels.label import LabelError
from operations.reviewing.desk import DeskClosedError
from operations.reviewing.server import MOST_BODY_BYTES, Guard
from operations.reviewing.web import review_app
from tests.unit.aws_stubs import client_error
from tests.unit.operations.review_backend import Office, body

TOKEN = "a-token-of-a-test"  # noqa: S105  of this test
HOST = "127.0.0.1:4711"
PAGE = "0123456789abcdef"


class Server:
    """The application with its guard."""

    def __init__(self, office=None, reviewer="ada"):
        self.office = office or Office(*map(body, range(3)))
        self.desk = self.office.desk()
        app, headers = review_app(self.desk, reviewer)
        self.app = Guard(app, TOKEN, 4711, headers)

    def request(self, method, path, content=b"", *, scheme="http", **headers):
        """Return status, headers and body. A header of None is left out; _ stands for -."""
        given = {"host": HOST, "content_length": str(len(content)), **headers}
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items() if value is not None]
        scope = {
            "type": scheme,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": raw,
            "http_version": "1.1",
            "scheme": "http",
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message):
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        if scheme != "http":
            return sent
        answer = b"".join(message.get("body", b"") for message in sent)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], names, answer

    def post(self, action, fields=None, **headers):
        content = json.dumps({"client": PAGE, **(fields or {})}).encode()
        own = {"origin": f"http://{HOST}", "content_type": "application/json", **headers}
        status, _, answer = self.request("POST", f"/{TOKEN}/{action}", content, **own)
        return status, answer


@pytest.fixture
def server():
    return Server()


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/poll", "/wrong/", f"/{TOKEN}", f"/{TOKEN}x/", f"//{TOKEN}/"])
def test_request_without_the_token_finds_nothing(server, path):
    for method in ("GET", "POST"):
        status, headers, answer = server.request(method, path)
        assert (status, answer) == (404, b"Not found.\n")
        assert TOKEN not in str(headers)


@pytest.mark.parametrize("host", ["evil.example:4711", "127.0.0.1", "127.0.0.1:80", "", None])
def test_other_host_name_is_refused(server, host):
    status, _, answer = server.request("GET", f"/{TOKEN}/", host=host)
    assert status == 403
    assert b"Unknown host" in answer


def test_both_names_of_the_loopback_address_are_allowed(server):
    for host in (HOST, "localhost:4711"):
        assert server.request("GET", f"/{TOKEN}/", host=host)[0] == 200
        assert server.post("heartbeat", host=host, origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": None},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": f"https://{HOST}"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"content_type": "text/plain"},
        {"content_type": None},
        {"content_length": None},
        {"content_length": "-1"},
        {"content_length": str(MOST_BODY_BYTES + 1)},
    ],
    ids=str,
)
def test_request_of_another_page_is_refused(server, headers):
    assert server.post("poll", **headers)[0] == 403
    assert len(server.office.queue.visible) == 3


@pytest.mark.parametrize("action", ["poll", "decide", "skip", "undo", "heartbeat", "leave"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_changes_anything(server, action, method):
    status, *_ = server.request(method, f"/{TOKEN}/{action}", origin=f"http://{HOST}")
    assert status in {403, 405}
    assert len(server.office.queue.visible) == 3


def test_repeated_header_is_refused(server):
    scope_headers = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    assert "repeated" in server.app._refusal({"method": "GET", "headers": scope_headers})


def test_web_socket_is_refused(server):
    assert server.request("GET", f"/{TOKEN}/", scheme="websocket") == [{"type": "websocket.close"}]


def test_page_may_run_only_its_own_script(server):
    status, headers, page = server.request("GET", f"/{TOKEN}/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
    assert headers["x-content-type-options"] == "nosniff"
    text = page.decode()
    assert text.count("<script>") == text.count("<script") == 1
    assert not re.search(r"\son\w+=|\sstyle=|https?://", text)
    assert TOKEN not in text


def test_reviewers_name_is_escaped():
    assert b"&lt;b&gt;ada" in Server(reviewer="<b>ada</b>").request("GET", f"/{TOKEN}/")[2]


def test_page_polls_decides_undoes_and_skips(server):
    status, answer = server.post("poll")
    view = json.loads(answer)
    first, second = view["pictures"]
    assert status == 200
    assert first["classes"] == [{"name": "bicycle", "probability": 0.625}, {"name": "motorcycle", "probability": 0.375}]
    assert (first["guess"], first["confidence"], first["threshold"]) == ("bicycle", 0.625, 0.9)
    assert (view["undo"], view["waiting"], view["put_off"]) == (None, 1, 0)
    status, headers, content = server.request("GET", f"/{TOKEN}/pictures/{first['id']}")
    assert (status, headers["content-type"], content) == (200, "image/png", b"png")

    status, answer = server.post("decide", {"picture": first["id"], "answer": "motorcycle"})
    view = json.loads(answer)
    assert [picture["id"] for picture in view["pictures"]] == [second["id"]]
    assert view["undo"] == {"label": "motorcycle"}
    assert server.office.decisions() == {"inbox/0.png": "motorcycle"}

    assert json.loads(server.post("undo")[1])["pictures"][0]["id"] == first["id"]
    assert json.loads(server.post("skip", {"picture": first["id"]})[1])["undo"]["label"] is None
    assert json.loads(server.post("heartbeat")[1])["pictures"][0]["id"] == second["id"]
    assert server.post("leave") == (204, b"")
    assert server.request("GET", f"/{TOKEN}/pictures/{second['id']}")[0] == 404


@pytest.mark.parametrize(
    ("action", "fields", "why"),
    [
        ("decide", {"picture": "m0"}, "lacks one of client, picture, answer"),
        ("decide", {"picture": 5, "answer": "bicycle"}, "lacks one of client, picture, answer"),
        ("decide", {"picture": "m0", "answer": "truck"}, "not an answer for this picture"),
        ("poll", {"client": "../../etc"}, "id is malformed"),
        ("poll", {"client": None}, "lacks one of client"),
    ],
)
def test_malformed_request_is_refused(server, action, fields, why):
    server.post("poll")
    status, answer = server.post(action, fields)
    assert status == 400
    assert why in json.loads(answer)["error"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff"])
def test_body_that_is_not_a_json_object_is_refused(server, content):
    own = {"origin": f"http://{HOST}", "content_type": "application/json"}
    assert server.request("POST", f"/{TOKEN}/poll", content, **own)[0] == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (client_error("AccessDenied", "not you"), 502),
        (LabelError("s3://b/x.json is not a label"), 409),
        (DeskClosedError("the server is ending"), 503),
    ],
)
def test_error_of_the_desk_is_shown_to_the_reviewer(server, error, status):
    server.post("poll")
    with patch.object(server.office.labels, "put", side_effect=error):
        answer = server.post("decide", {"picture": "m0", "answer": "bicycle"})
    assert (answer[0], json.loads(answer[1])["error"]) == (status, str(error))
