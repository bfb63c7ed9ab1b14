#!/usr/bin/env python3
"""The rollup as processes: otr demo and what it leaves, and otr up --rollup, killed in the middle.

    tests/rollup.py PATH-OF-OTR MODEL SMALLER-MODEL
"""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

OTR, MODEL, SMALL = (str(pathlib.Path(argument).resolve()) for argument in sys.argv[1:4])
PATIENCE = 240  # seconds; a sanitizer on a busy machine is slow


def otr(*arguments, code=0):
    command = [OTR, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    shown = done.stdout + done.stderr
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {arguments}\n{shown}"
    return shown


def check_demo(folder):
    said = otr("demo", "--model", MODEL, "--small", SMALL, "--folder", folder, "--max-tokens", 6)
    for scene in (
        "recomputed            by a fisherman: every number agrees",
        "drawn by the beacon   and answered with",
        "checked               by a checker",
        "REFUSED: The session beside the claim measured another model",
        "3 moves: challenge, answer, proof of one step: STEP_MISMATCH",
        "REFUSED: The session beside the claim names another operator",
        "burned                nobody",
        "it gives up",
        "found                 by the fisherman, which named the false leaf",
    ):
        assert scene in said, f"no {scene!r} in\n{said}"
    otr("demo", "--model", MODEL, "--small", SMALL, "--folder", folder, code=2)  # not twice
    ledger = folder / "ledger.sqlite"
    assert "4 (1 open, 2 final), games 3 (0 open)" in otr("ledger", "verify", ledger)

    def verify(receipt, posted, *more, code=0):
        return otr("verify", folder / receipt, "--model", MODEL, "--policy", folder / "policy.toml",
                   "--ledger", ledger, "--posted", folder / posted, *more, code=code)

    if (folder / "honest.proof").exists():  # where the machine was fast enough
        beacon = re.search(r"--beacon (0x\w+)", said)[1]
        assert "PROVEN" in otr("verify", folder / "honest.proof", "--model", MODEL, "--beacon",
                               beacon)
    ladder = verify("honest.json", "honest.posted.json", "--recompute")
    for rung in ("claim included in a posted batch (batch 1", "recomputed by me", "window over"):
        assert f"PASS     {rung}" in ladder, ladder
    assert "proven false on the ledger" in verify("forged.json", "forged.posted.json", code=5)
    assert "a canary" in verify("canary.json", "canary.posted.json", code=5)
    said_so = verify("honest.json", "honest.posted.json")
    assert "1 account says on the ledger to have done so" in said_so, said_so
    assert "SESSION_MISMATCH" in verify("honest.json", "forged.posted.json", code=1)
    (folder / "bad.posted.json").write_text('{"batch":1}\n')
    verify("honest.json", "bad.posted.json", code=2)
    lines = (folder / "disputes.jsonl").read_text().splitlines()
    assert len(lines) >= 6 and all(json.loads(line)["height"] > 0 for line in lines)
    # One byte of the ledger is another. (Of an export: there every byte counts.)
    otr("ledger", "export", ledger, folder / "export")
    otr("ledger", "verify", folder / "export")
    data = bytearray((folder / "export").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "changed").write_bytes(data)
    command = [OTR, "ledger", "verify", folder / "changed"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    assert done.returncode in (1, 2), done
    otr("demo", "--model", MODEL, "--small", MODEL, "--folder", folder / "same", code=2)


def wait_for(pattern, log, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        text = log.read_text(errors="replace")
        if found := re.search(pattern, text):
            return found
        assert process.poll() is None, f"otr up has ended:\n{text}"
        time.sleep(0.1)
    raise AssertionError(f"no {pattern!r} in\n{log.read_text(errors='replace')}")


def ask(url):
    body = json.dumps({"model": "demo", "max_tokens": 6,
                       "messages": [{"role": "user", "content": "What is a rollup?"}]}).encode()
    request = urllib.request.Request(url + "/v1/chat/completions", body,
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def check_up(folder):
    log = folder / "up.log"
    arguments = [OTR, "up", "--rollup", "--watch", "--window", "8",
                 "--model", MODEL, "--home", folder / "home",
                 "--gateway-port", "0", "--proxy-port", "0"]
    with log.open("w") as out:
        process = subprocess.Popen(list(map(str, arguments)), stdout=out, stderr=subprocess.STDOUT)
    try:
        gateway = wait_for(r"gateway +(http://\S+)/v1", log, process)[1]
        ledger = wait_for(r"ledger +(/\S+)", log, process)[1]
        assert ask(gateway)["otr"]["verified_by"] == "gateway"
        wait_for(r"claims +0 waiting, 0 posted, 1 final, 0 void", log, process)
        wait_for(r"fisherman +1 seen, 1 recomputed and equal, 0 false, 0 final", log, process)
        # Of the ledger too is what a client signs that seals its prompt.
        receipt = folder / "receipt.json"
        otr("ask", "--model", MODEL, "--url", gateway, "--home", folder / "client", "--policy",
            folder / "home" / "policy.toml", "--receipt", receipt, "--max-tokens", 6,
            "Who are you?")
        assert json.loads(receipt.read_text())["ledger"] in otr("ledger", "verify", ledger)
        ask(gateway)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    # What was acknowledged is there, and no half of anything.
    assert "PASS  chain" in otr("ledger", "verify", ledger)


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        check_demo(folder / "demo")
        check_up(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("rollup: all checks passed")


main()
