"""Worker, gateway and proxy as processes: what service.py, service_api.py and service_tls.py share.

argv[1] is the program, argv[2] the model.
"""

import http.client
import json
import pathlib
import signal
import ssl
import subprocess
import sys
import tempfile
import time

OTR, MODEL = sys.argv[1], sys.argv[2]
QUESTION = [{"role": "user", "content": "What is a rollup?"}]
WORK = tempfile.TemporaryDirectory(prefix="otr-service-")
HOME = pathlib.Path(WORK.name)
RUNNING = []


def otr(*arguments, expect=0):
    done = subprocess.run([OTR, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


class Process:
    """A service that says on its first lines where it listens."""

    def __init__(self, *arguments, ready):
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen([OTR, *arguments], stdout=subprocess.PIPE, stderr=self.log)
        RUNNING.append(self)
        self.text = ""
        while not self.text.startswith(ready) or "\n" not in self.text:
            line = self.child.stdout.readline().decode()
            assert line, (arguments, self.text, self.errors())
            self.text += line
        self.port = int(self.text.split("\n")[0].split(":")[-1].split("/")[0])

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode()

    def end(self, how=signal.SIGTERM):
        self.child.send_signal(how)
        self.child.wait(timeout=60)


def call(port, method, path, body=None, headers=None, ca=None):
    if ca:
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, names, answer.read()


def chat(port, **more):
    body = {"model": "demo", "messages": QUESTION, "temperature": 0, "max_tokens": 16, **more}
    status, headers, answer = call(port, "POST", "/v1/chat/completions", body)
    return status, headers, json.loads(answer)


def wait_until(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("waited in vain for " + what.__name__)


def worker(*more, listen="127.0.0.1:0"):
    return Process("worker", "--model", MODEL, "--tee", "simulated", "--home", str(HOME / "op"),
                   "--listen", listen, "--threads", "1", "--kv-memory", "64", *more, ready="worker")


def gateway(worker_port, *more, listen="127.0.0.1:0", scheme="http"):
    return Process("gateway", "--model", MODEL, "--name", "demo", "--home", str(HOME / "op"),
                   "--policy", str(HOME / "policy.toml"), "--listen", listen,
                   "--worker", f"{scheme}://127.0.0.1:{worker_port}", *more, ready="gateway")


def proxy(gateway_port, *more, policy="policy.toml", scheme="http", host="127.0.0.1"):
    return Process("proxy", "--model", MODEL, "--name", "demo", "--home", str(HOME / "user"),
                   "--policy", str(HOME / policy), "--listen", "127.0.0.1:0",
                   "--url", f"{scheme}://{host}:{gateway_port}", *more, ready="proxy")


def make_policy():
    """That of `otr up`, which knows root and measurement of this installation's simulated TEE."""
    up = Process("up", "--model", MODEL, "--home", str(HOME / "op"), "--threads", "1",
                 "--kv-memory", "64", "--gateway-port", "0", "--proxy-port", "0", ready="worker")
    wait_until(lambda: (HOME / "op" / "policy.toml").exists())
    up.end()
    policy = (HOME / "op" / "policy.toml").read_text()
    assert "SIMULATED" in policy
    (HOME / "policy.toml").write_text(policy)
    root = policy.split('roots = ["0x')[1][:64]
    other = root.replace(root[0], "0" if root[0] != "0" else "1", 1)
    (HOME / "other.toml").write_text(policy.replace(root, other))


def play(main):
    """Runs main() and leaves nothing behind."""
    try:
        main()
    finally:
        for process in RUNNING:
            if process.child.poll() is None:
                process.child.kill()
                process.child.wait()
        WORK.cleanup()
