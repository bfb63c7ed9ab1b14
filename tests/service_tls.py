#!/usr/bin/env python3
"""TLS between all processes, and a worker that renews its session while they run: both with one
worker, whose session is short."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time

from service_world import (HOME, MODEL, QUESTION, call, chat, gateway, make_policy, otr, play,
                           proxy, wait_until, worker)

LIFETIME_SECONDS = 40
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def make_authority(name):
    openssl("req", "-x509", *KEY, "-keyout", str(HOME / f"{name}.key"), "-out",
            str(HOME / f"{name}.pem"), "-days", "2", "-subj", f"/CN={name}")


def make_certificate(name, authority, alternative, days="2"):
    request, extensions = HOME / f"{name}.csr", HOME / f"{name}.ext"
    openssl("req", *KEY, "-keyout", str(HOME / f"{name}.key"), "-out", str(request),
            "-subj", f"/CN={name}")
    extensions.write_text(f"subjectAltName={alternative}\n")
    openssl("x509", "-req", "-in", str(request), "-CA", str(HOME / f"{authority}.pem"), "-CAkey",
            str(HOME / f"{authority}.key"), "-days", days, "-extfile", str(extensions), "-out",
            str(HOME / f"{name}.pem"))


def tls(name):
    return ("--tls-certificate", str(HOME / f"{name}.pem"), "--tls-key", str(HOME / f"{name}.key"))


def ca(name, flag="--ca-file"):
    return (flag, str(HOME / f"{name}.pem"))


def ready(process, name=None):
    return lambda: call(process.port, "GET", "/readyz", ca=name and HOME / f"{name}.pem")[0] == 200


def ask(url, *flags, expect=0):
    return otr("ask", "--model", MODEL, "--url", url, *flags, "--policy", str(HOME / "policy.toml"),
               "--home", str(HOME / "asker"), "--temp", "0", "What is a rollup?", expect=expect)


def check_refused(gateway_port, *flags, host="127.0.0.1", why=()):
    """Proxy and ask that must not trust this gateway, and say why not."""
    mistrustful = proxy(gateway_port, *flags, scheme="https", host=host)
    status, _, answer = chat(mistrustful.port)
    message = answer["error"]["message"]
    assert status == 503 and any(word in message for word in why), (why, message)
    mistrustful.end()
    said = ask(f"https://{host}:{gateway_port}", *flags, expect=1)
    assert any(word in said for word in why), (why, said)


def check_plain_to_tls(port):
    """Plain HTTP at a TLS port ends, soon and with nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
        said = b""
        try:
            while part := one.recv(4096):
                said += part
        except ConnectionResetError:
            pass
        assert not said.startswith(b"HTTP/1.1 200"), said
    # And a client that says nothing at all holds up nobody.
    with socket.create_connection(("127.0.0.1", port), timeout=20):
        assert call(port, "GET", "/livez", ca=HOME / "good.pem")[0] == 200
    plain = proxy(port)
    status, _, answer = chat(plain.port)
    assert status == 503, answer
    plain.end()


def check_tls(the_worker, the_gateway):
    port = the_gateway.port
    status, _, body = call(port, "GET", "/v1/models", ca=HOME / "good.pem")
    assert status == 200 and json.loads(body)["data"][0]["id"] == "demo"
    said = ask(f"https://127.0.0.1:{port}", *ca("good"))
    assert "PASS     session attested" in said, said
    check_refused(port, *ca("other"), why=("certificate", "unable to get", "self-signed"))
    check_refused(port, why=("certificate",))  # the system's authorities do not know ours
    check_refused(port, *ca("good"), host="localhost", why=("localhost", "host", "name"))
    check_plain_to_tls(port)
    # A gateway that does not know who certifies its worker.
    lost = gateway(the_worker.port, *ca("other", "--worker-ca-file"), scheme="https")
    for _ in range(600):  # it asks its worker when it has the time
        status, _, answer = chat(lost.port)
        if status != 503 or "not asked yet" not in answer["error"]["message"]:
            break
        time.sleep(0.1)
    assert status == 503 and "certificate" in answer["error"]["message"], answer
    lost.end()
    expired = gateway(the_worker.port, *tls("expired"), *ca("good", "--worker-ca-file"),
                      scheme="https")
    check_refused(expired.port, *ca("good"), why=("expired",))
    expired.end()
    said = otr("gateway", "--model", MODEL, "--home", str(HOME / "op"), "--listen", "127.0.0.1:0",
               "--worker", "http://127.0.0.1:1", "--tls-certificate", str(HOME / "good.pem"),
               "--tls-key", str(HOME / "expired.key"), expect=2)
    assert "key" in said, said


def session_of(port):
    status, _, answer = chat(port, max_tokens=2)
    assert status == 200, answer
    assert answer["otr"]["verified"] is True, answer
    return answer["otr"]["session"]


def check_renewal(the_gateway, the_proxy, first):
    """Nobody is started anew, and nobody is ever refused."""
    begin = time.monotonic()
    seen = [first]
    while len(seen) < 2:
        assert time.monotonic() - begin < 2 * LIFETIME_SECONDS, seen
        seen += {session_of(the_proxy.port)} - set(seen)
        time.sleep(0.5)
    context = ssl.create_default_context(cafile=str(HOME / "good.pem"))

    def gateway_changed():
        return json.loads(chat_over_tls(the_gateway.port, context))["otr"]["session"] != first

    wait_until(gateway_changed)
    listed = json.loads(call(the_gateway.port, "GET", "/v1/otr/sessions", ca=HOME / "good.pem")[2])
    epochs = [int(one["session"]["epoch"]) for one in listed["sessions"]]
    assert len(set(epochs)) == len(epochs) and len(epochs) in (1, 2), epochs


def chat_over_tls(port, context):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    body = {"messages": QUESTION, "max_tokens": 2, "temperature": 0}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return text


def main():
    if shutil.which("openssl") is None:
        print("SKIPPED: there is no openssl here to make certificates with")
        sys.exit(77)
    make_policy()
    for authority in ("good", "other"):
        make_authority(authority)
    make_certificate("worker", "good", "IP:127.0.0.1")
    make_certificate("gateway", "good", "IP:127.0.0.1")
    make_certificate("expired", "good", "IP:127.0.0.1", days="-1")
    the_worker = worker("--lifetime", f"{LIFETIME_SECONDS}s", *tls("worker"))
    the_gateway = gateway(the_worker.port, *tls("gateway"), *ca("good", "--worker-ca-file"),
                          scheme="https")
    wait_until(ready(the_gateway, "good"))
    the_proxy = proxy(the_gateway.port, *ca("good"), scheme="https")
    wait_until(ready(the_proxy))
    first = session_of(the_proxy.port)
    check_tls(the_worker, the_gateway)
    check_renewal(the_gateway, the_proxy, first)
    for process in (the_proxy, the_gateway, the_worker):
        process.end()
        assert process.child.returncode == 0, process.errors()[-500:]
    assert "session_renewed" in the_worker.errors(), the_worker.errors()[-500:]
    print("certificates are checked, and sessions renewed")


play(main)
