#!/usr/bin/env python3
"""Mixed load on a whole service (`otr up`) for a time: nothing lost, nothing growing.

  bench/soak.py [--otr build/release/src/apps/otr] [--minutes 30] [--requests 100000] [--clients 8]

Clients on loopback, bounded in number and time, ask proxy and gateway at random: whole answers and
streams, several answers at once, stop, logprobs, the same Idempotency-Key twice, streams given up
in the middle, hostile bodies, connections that send nothing. Afterwards every answer that a client
saw finished must have its receipt, a sample of them must verify offline, and memory and open files
must not have grown between the second quarter and the last. Exit status 1 where one of them fails.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

WORDS = "what is a rollup and who checks the answer of a model in days or by proof".split()
HOSTILE = (b"", b"{", b"[" * 100_000, b'{"model":1}', b'{"messages":[{"role":"user"}]}',
           b'{"model":"demo","messages":[{"role":"user","content":"\xff\xfe"}]}',
           b'{"model":"demo","model":"demo","messages":[]}', b"x" * (5 << 20))


class Service:
    """`otr up` in a folder of its own."""

    def __init__(self, otr, model, folder):
        self.log = open(folder / "up.log", "wb")
        self.child = subprocess.Popen(
            [otr, "up", "--model", model, "--home", str(folder / "home"), "--gateway-port", "0",
             "--proxy-port", "0"], stdout=subprocess.PIPE, stderr=self.log)
        text = ""
        while "Try it" not in text:
            line = self.child.stdout.readline().decode()
            assert line, "otr up did not start: see " + str(folder / "up.log")
            text += line
        self.ports = [int(re.search(name + r" +http://127.0.0.1:(\d+)", text)[1])
                      for name in ("gateway", "proxy")]

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=60)


class Client(threading.Thread):
    def __init__(self, seed, run):
        super().__init__()
        self.random = random.Random(seed)
        self.run_ = run

    def run(self):
        while self.run_.take():
            kind = self.random.choice(list(KINDS))
            try:
                KINDS[kind](self)
                self.run_.count(kind)
            except Exception as error:  # every failure counts, whatever it is
                self.run_.fail(f"{kind}: {error!r}")

    def connect(self):
        self.port = self.random.choice(self.run_.ports)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def post(self, connection, body, headers=None):
        connection.request("POST", "/v1/chat/completions", body,
                           {"Content-Type": "application/json", **(headers or {})})
        return connection.getresponse()

    def body(self, **more):
        question = " ".join(self.random.choices(WORDS, k=self.random.randint(1, 12)))
        return json.dumps({"model": "demo", "messages": [{"role": "user", "content": question}],
                           "temperature": self.random.choice((0, 1)),
                           "max_tokens": self.random.randint(1, 48),
                           "seed": self.random.getrandbits(31), **more})

    def whole(self, headers=None, body=None, **more):
        connection = self.connect()
        answer = self.post(connection, body or self.body(**more), headers)
        text = answer.read()
        if answer.status == 429:
            return self.run_.count("busy")
        assert answer.status == 200, (answer.status, text[:300])
        self.finished(json.loads(text))
        connection.close()
        return text

    def finished(self, document):
        said = document["otr"]
        assert said["verified"] is True, said
        for one in [said] if "receipt_id" in said else said["answers"]:
            self.run_.receipt(self.port, one["receipt_id"])

    def stream(self):
        connection = self.connect()
        answer = self.post(connection, self.body(stream=True))
        text = answer.read().decode()
        if answer.status == 429:
            return self.run_.count("busy")
        assert answer.status == 200 and text.endswith("data: [DONE]\n\n"), text[-300:]
        events = [json.loads(part[6:]) for part in text.split("\n\n")
                  if part.startswith("data: {")]
        self.finished(next(event for event in reversed(events) if "otr" in event))
        connection.close()

    def several(self):
        self.whole(n=self.random.randint(2, 4))

    def logprobs(self):
        self.whole(logprobs=True, top_logprobs=5, stop=["chain"])

    def retried(self):
        body, headers = self.body(), {"Idempotency-Key": f"{self.random.getrandbits(64):x}"}
        connection = self.connect()
        first = self.post(connection, body, headers)
        one = first.read()
        second = self.post(connection, body, headers)
        two = second.read()
        if 429 in (first.status, second.status):
            return self.run_.count("busy")
        assert first.status == second.status == 200 and one == two, (one[:300], two[:300])
        self.finished(json.loads(one))
        connection.close()

    def given_up(self):
        connection = self.connect()
        answer = self.post(connection, self.body(stream=True, n=2))
        answer.read1(self.random.randint(1, 600))
        connection.sock.close()

    def hostile(self):
        connection = self.connect()
        try:
            answer = self.post(connection, self.random.choice(HOSTILE))
            assert 400 <= answer.status < 500, answer.status
            assert "error" in json.loads(answer.read())
        except (BrokenPipeError, ConnectionResetError):
            pass  # a body that is too long is not read to its end

    def silent(self):
        connection = self.connect()
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as one:
            one.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            time.sleep(self.random.random())
        connection.close()


KINDS = {"whole": Client.whole, "stream": Client.stream, "several": Client.several,
         "logprobs": Client.logprobs, "retried": Client.retried, "given up": Client.given_up,
         "hostile": Client.hostile, "silent": Client.silent}


class Run:
    """What the clients share."""

    def __init__(self, ports, seconds, requests):
        self.ports, self.until, self.left = ports, time.monotonic() + seconds, requests
        self.lock = threading.Lock()
        self.counts, self.failures, self.receipts = collections.Counter(), [], set()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0 and time.monotonic() < self.until and len(self.failures) < 20

    def count(self, kind):
        with self.lock:
            self.counts[kind] += 1

    def fail(self, what):
        with self.lock:
            self.failures.append(what)

    def receipt(self, port, receipt_id):
        with self.lock:
            self.receipts.add((port, receipt_id))


def check_receipts(run, options, folder):
    """How many are lost; a sample is verified by the program itself, offline."""
    lost, paths = [], []
    for port, receipt_id in sorted(run.receipts):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/v1/otr/receipts/" + receipt_id)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            lost.append(receipt_id)
        elif random.random() < 50 / len(run.receipts):
            paths.append(folder / (receipt_id + ".json"))
            paths[-1].write_bytes(text)
        connection.close()
    policy = str(folder / "home" / "policy.toml")
    refused = [path.name for path in paths
               if subprocess.run([options.otr, "verify", str(path), "--model", options.model,
                                  "--policy", policy, "--recompute"],
                                 capture_output=True, check=False).returncode]
    print(f"receipts: {len(run.receipts)}, lost {len(lost)}; "
          f"verified and recomputed {len(paths)}, refused {len(refused)}")
    return not lost and not refused


def quarter(samples, which):
    return statistics.median(samples[len(samples) * (which - 1) // 4:len(samples) * which // 4])


def check_growth(samples, what, slack):
    second, last = quarter(samples, 2), quarter(samples, 4)
    print(f"{what}: {second:.1f} in the second quarter, {last:.1f} in the last, "
          f"most {max(samples):.1f}")
    return last <= second * 1.05 + slack


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--otr", default="build/release/src/apps/otr")
    parser.add_argument("--model", default="models/demo.safetensors")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otr-soak-") as work:
        folder = pathlib.Path(work)
        service = Service(options.otr, options.model, folder)
        run = Run(service.ports, options.minutes * 60, options.requests)
        clients = [Client(seed, run) for seed in range(options.clients)]
        for client in clients:
            client.start()
        resident, files = [], []
        while any(client.is_alive() for client in clients):
            time.sleep(min(5.0, options.minutes))
            resident.append(service.resident_mib())
            files.append(service.open_files())
        print("calls:", ", ".join(f"{count} {kind}" for kind, count in run.counts.most_common()))
        good = not run.failures
        print("\n".join(["failures:", *run.failures[:20]]) if run.failures else "failures: none")
        good &= check_receipts(run, options, folder)
        good &= check_growth(resident, "resident MiB", 4)
        good &= check_growth(files, "open files", 16)
        status = service.end()
        print(f"ended with status {status}")
        raise SystemExit(0 if good and status == 0 else 1)


main()
