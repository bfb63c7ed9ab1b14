#!/usr/bin/env python3
"""Plays worker, gateway and proxy as processes with the program argv[1] and the model argv[2]:
answers and their receipts, hostile bodies, processes killed in the middle of an answer.

Every step asserts; the first failure ends the test with status 1.
"""

import http.client
import json
import signal
import socket

from service_world import (HOME, MODEL, QUESTION, call, chat, gateway, make_policy, otr, play,
                           proxy, wait_until, worker)


def check_receipts(port):
    status, headers, answer = chat(port)
    assert status == 200, answer
    assert answer["otr"]["verified"] is True and answer["otr"]["hardware"] is False, answer["otr"]
    receipt_id = answer["otr"]["receipt_id"]
    assert headers["x-receipt-id"] == receipt_id
    status, _, receipt = call(port, "GET", "/v1/otr/receipts/" + receipt_id)
    assert status == 200
    path = HOME / "receipt.json"
    path.write_bytes(receipt)
    said = otr("verify", str(path), "--model", MODEL, "--policy", str(HOME / "policy.toml"),
               "--recompute", "--explain")
    assert "SIMULATED" in said and "VERIFIED" in said, said
    # The evidence of a session nobody named, no policy for simulations at all, a changed byte.
    other = str(HOME / "other.toml")
    said = otr("verify", str(path), "--model", MODEL, "--policy", other, expect=1)
    assert "EVIDENCE_REFUSED" in said, said
    otr("verify", str(path), "--model", MODEL, "--policy", "genuine", expect=1)
    document = json.loads(receipt)
    nonce = document["evidence"]["session"]["nonce"]
    document["evidence"]["session"]["nonce"] = nonce[:-1] + ("0" if nonce[-1] != "0" else "1")
    changed = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    path.write_text(changed + "\n")
    said = otr("verify", str(path), "--model", MODEL, expect=1)
    assert "SESSION_SIGNATURE" in said, said
    return receipt_id


def check_hostile(port):
    for body in (b"", b"{", b"[]", b"null", b'{"model":"demo","model":"x","messages":[]}',
                 b'{"model":"demo","messages":[{"role":"user","content":"\xff"}]}', b"[" * 100000,
                 b'{"model":"demo","messages":[{"role":"user","content":"a"}],"top_p":1e999}'):
        status, _, answer = call(port, "POST", "/v1/chat/completions", body)
        assert 400 <= status < 500, (body[:60], status)
        assert json.loads(answer)["error"]["message"], answer
    status, _, _ = call(port, "POST", "/v1/chat/completions", b"x" * (5 << 20))
    assert status == 413, status
    for raw in (
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01\x02\x00",
                b"\r\n" * 50,
                b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
            one.sendall(raw)
            one.shutdown(socket.SHUT_WR)
            said = b""
            while part := one.recv(4096):
                said += part
            assert said == b"" or said.startswith(b"HTTP/1.1 4"), (raw, said[:80])
    assert chat(port)[0] == 200


def check_killed(the_worker, the_proxy):
    """A worker killed in the middle: an error, no finish, nothing signed."""
    connection = http.client.HTTPConnection("127.0.0.1", the_proxy.port, timeout=60)
    body = {"model": "demo", "messages": QUESTION, "stream": True, "temperature": 1.5,
            "max_tokens": 400, "n": 8}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    answer = connection.getresponse()
    assert answer.status == 200
    seen = answer.read1(200)
    the_worker.end(signal.SIGKILL)
    try:
        while part := answer.read1(65536):
            seen += part
    except http.client.IncompleteRead as cut:
        seen += cut.partial
    assert b"[DONE]" not in seen, seen[-300:]
    assert b'"error"' in seen, seen[-300:]


def main():
    make_policy()
    the_worker = worker()
    the_gateway = gateway(the_worker.port)
    wait_until(lambda: call(the_gateway.port, "GET", "/readyz")[0] == 200)
    the_proxy = proxy(the_gateway.port)
    wait_until(lambda: call(the_proxy.port, "GET", "/readyz")[0] == 200)

    of_gateway = check_receipts(the_gateway.port)
    check_receipts(the_proxy.port)
    check_hostile(the_proxy.port)
    check_hostile(the_gateway.port)

    said = otr("ask", "--model", MODEL, "--url", f"http://127.0.0.1:{the_gateway.port}", "--policy",
               str(HOME / "policy.toml"), "--home", str(HOME / "asker"), "--temp", "0",
               "What is a rollup?")
    assert "PASS     session attested" in said and "SIMULATED" in said, said
    otr("ask", "--model", MODEL, "--url", f"http://127.0.0.1:{the_gateway.port}", "--home",
        str(HOME / "asker"), "What?", expect=1)  # the default policy takes no simulation

    # A proxy whose policy accepts nothing here answers nobody.
    strict = proxy(the_gateway.port, policy="other.toml")
    status, _, answer = chat(strict.port)
    assert status == 503 and "refused" in answer["error"]["message"], answer
    strict.end()

    # Receipts outlive their gateway.
    port = the_gateway.port
    the_gateway.end(signal.SIGKILL)
    the_gateway = gateway(the_worker.port, listen=f"127.0.0.1:{port}")
    assert call(port, "GET", "/v1/otr/receipts/" + of_gateway)[0] == 200
    wait_until(lambda: chat(the_proxy.port)[0] == 200)

    port = the_worker.port
    check_killed(the_worker, the_proxy)
    the_worker = worker(listen=f"127.0.0.1:{port}")
    wait_until(lambda: chat(the_proxy.port)[0] == 200, 60)
    for process in (the_proxy, the_gateway, the_worker):
        process.end()
        assert process.child.returncode == 0, process.errors()[-500:]
    print("worker, gateway and proxy hold")


play(main)
