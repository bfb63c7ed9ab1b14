"""Ledger, operator, worker, gateway and fisherman as processes: what rollup_apart.py and
cheating_worker.py share.
"""

import json
import re
import signal
import subprocess
import urllib.request

from service_world import HOME, MODEL, OTR, RUNNING, chat, make_policy, otr, wait_until

PATIENCE = 240  # seconds; a sanitizer on a busy machine is slow


class Role:
    """A process that goes on talking, into a file."""

    def __init__(self, name, *arguments, program=OTR):
        self.log = HOME / (name + ".log")
        self.arguments = [program, *map(str, arguments)]
        self.begin()

    def begin(self):
        with self.log.open("w") as out:
            self.child = subprocess.Popen(self.arguments, stdout=out, stderr=subprocess.STDOUT)
        RUNNING.append(self)

    def said(self, pattern):
        found = []

        def there():
            text = self.log.read_text(errors="replace")
            found[:] = re.findall(pattern, text)
            assert found or self.child.poll() is None, (self.arguments, text)
            return bool(found)

        there.__name__ = f"{pattern!r} in {self.log.name}"
        wait_until(there, PATIENCE)
        return found[-1]

    def url(self, member):
        return self.said(f'"{member}":"(http[^"]*)"')

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()


def port_of(url):
    return int(url.rsplit(":", 1)[1])


def gauges(url):
    with urllib.request.urlopen(url + "/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return {name: int(value) for name, value in re.findall(r"^(otr_\w+) (\d+)$", text, re.M)}


def wait_for(url, name, least):
    def reached():
        return gauges(url).get(name, 0) >= least

    reached.__name__ = f"{name} >= {least}"
    wait_until(reached, PATIENCE)


def posted_claims():
    """How many claims the ledger's batches hold."""
    said = otr("ledger", "tail", str(HOME / "L"), "-n", "100000")
    return sum(int(row["members"]["count"]) for row in map(json.loads, said.splitlines())
               if row["kind"] == "PostBatch")


def honest_worker(ledger_id):
    return Role("worker", "worker", "--model", MODEL, "--tee", "simulated", "--home", HOME / "op",
                "--listen", "127.0.0.1:0", "--threads", "1", "--kv-memory", "64", "--ledger-id",
                ledger_id)


class World:
    """All the processes, and how many answers were given that have to be on the ledger."""

    def __init__(self, begin_worker=honest_worker):
        self.answered = 0
        make_policy()
        said = otr("ledger", "init", str(HOME / "L"), "--home", str(HOME / "roles"), "--trial")
        self.ledger_id = re.search(r"^ledger +(0x\w+)", said, re.M)[1]
        self.ledger = Role("ledger", "ledger", "serve", HOME / "L", "--home", HOME / "roles",
                           "--auditor-home", HOME / "roles", "--listen", "127.0.0.1:0")
        self.url = self.ledger.said(r"served at +(\S+)")
        self.follows = ("--ledger", self.url, "--ledger-id", self.ledger_id, "--model", MODEL,
                        "--threads", "1", "--every", "50", "--metrics", "127.0.0.1:0")
        self.start_operator("127.0.0.1:0", "127.0.0.1:0", 2000)
        self.data, self.receipts = self.operator.url("data"), self.operator.url("receipts")
        self.fund_operator()
        self.worker = begin_worker(self.ledger_id)
        self.start_gateway()
        self.fisherman = Role("fisherman", "fisherman", *self.follows, "--home", HOME / "fish",
                              "--data", self.data)
        self.watched = self.fisherman.url("metrics")

    def mint(self, account, amount):
        otr("ledger", "mint", "--ledger", self.url, "--ledger-id", self.ledger_id, "--home",
            str(HOME / "roles"), "--to", account, "--amount", str(amount))

    def start_operator(self, data, receipts, batch_every):
        self.operator = Role("operator", "operator", *self.follows, "--home", HOME / "op",
                             "--register-models", "--stake", 10_000_000, "--batch-every",
                             batch_every, "--listen", data, "--receipts-listen", receipts)

    def fund_operator(self):
        """Without money it says what is missing, and goes on when it is there."""
        account = self.operator.said(r'"account":"(0x\w+)"')
        self.operator.said(r"Stake: ")
        self.mint(account, 20_000_000)
        self.operator.said(r'"stake":10000000')

    def start_gateway(self):
        self.serving = ("gateway", "--model", MODEL, "--name", "demo", "--policy",
                        str(HOME / "policy.toml"), "--listen", "127.0.0.1:0", "--worker",
                        self.worker.said(r"worker +(http\S+)"), "--operator")
        self.gateway = Role("gateway", *self.serving, self.receipts, "--home", HOME / "op")
        self.gateway_url = self.gateway.said(r"gateway +(http\S+)/v1")
        self.port = port_of(self.gateway_url)

    def ask(self):
        """Status and answer, of which only those given count."""
        status, _, answer = chat(self.port, max_tokens=4)
        self.answered += status == 200
        return status, answer

    def must_ask(self):
        status, answer = self.ask()
        assert status == 200, answer
        return answer["otr"]["receipt_id"]

    def wait_until_all_posted(self):
        wait_for(self.watched, "otr_fisherman_claims_seen_total", self.answered)
        assert posted_claims() == self.answered
