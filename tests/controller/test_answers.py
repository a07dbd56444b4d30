"""What is believed of an answer that may not be the API server's."""

from __future__ import annotations

import pytest

from controller.answers import read_object, require_definite, require_deletion
from informers.errors import DecodeError, NotFound, error_from_response
from informers.transport import Response


def answer(body: bytes) -> Response:
    return Response(status=200, headers={}, body=body, attempt="GET /x")


def test_an_object_of_the_server_is_taken() -> None:
    assert read_object(answer(b'{"metadata":{"name":"a","uid":"u"}}'))["metadata"]["uid"] == "u"


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[]", b"{}", b"null", b'{"kind":"Status"}', b'{"metadata":{}}', b'{"metadata":"x"}']
)
def test_anything_else_is_no_object(body: bytes) -> None:
    with pytest.raises(DecodeError):
        read_object(answer(body))


@pytest.mark.parametrize("body", [b'{"kind":"Status","status":"Success"}', b'{"metadata":{"uid":"u"}}'])
def test_a_deletion_is_done_or_on_its_way(body: bytes) -> None:
    require_deletion(answer(body))


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"kind":"Status"}', b'{"kind":"Status","status":"Failure"}']
)
def test_a_deletion_that_nobody_confirms_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(DecodeError):
        require_deletion(answer(body))


@pytest.mark.parametrize("body", [b"404 page not found", b"<html>not found</html>", b"{}", b'{"reason":"NotFound"}'])
def test_a_404_of_nobody_who_looked_proves_nothing(body: bytes) -> None:
    error = error_from_response("GET /x", 404, {}, body)
    assert isinstance(error, NotFound)
    with pytest.raises(DecodeError):
        require_definite(error)


def test_a_404_of_the_server_proves_that_there_is_nothing() -> None:
    error = error_from_response("GET /x", 404, {}, b'{"kind":"Status","reason":"NotFound","code":404}')
    assert isinstance(error, NotFound)
    require_definite(error)
