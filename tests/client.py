#!/usr/bin/env python3
"""Installs the build argv[1], builds examples/ against it as a stranger does, with the compiler
argv[4], and plays them with the program argv[2] and the model argv[3].

Every step asserts; the first failure ends the test with status 1.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

BUILD, OTR, MODEL, COMPILER = sys.argv[1:5]
EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
# Links in place of copies: the archives of a build with sanitizers are large.
ENVIRONMENT = {**os.environ, "CMAKE_INSTALL_MODE": "ABS_SYMLINK"}


def run(*command, expect=0, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=600, env=ENVIRONMENT, **options)
    assert done.returncode == expect, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def build_examples(work):
    prefix, build = work / "prefix", work / "examples"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    headers = [path.relative_to(prefix).as_posix() for path in (prefix / "include").rglob("*.h")]
    assert headers == ["include/otr/client.h"], headers
    # Nothing in the package may point back into the tree that it was built from.
    source = str(EXAMPLES.parent)
    for file in prefix.glob("lib*/**/*.cmake"):
        assert source not in file.read_text(), file
    run("cmake", "-S", EXAMPLES, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={COMPILER}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build)
    return build


def play(examples, work, url):
    question, receipt = "What is a rollup?", work / "receipt.json"
    policy = work / "op" / "policy.toml"
    ENVIRONMENT["OTR_HOME"] = str(work / "user")

    said = run(examples / "ask", url, policy, MODEL, question, receipt)
    assert said.startswith("A rollup is"), said
    assert "NO HARDWARE" in said and "SIMULATED" in said, said
    assert "PASS     session attested" in said and "finish reason stop" in said, said
    said = run(examples / "verify_receipt", receipt, policy, MODEL)
    assert "PASS     recomputed by me" in said and "VERIFIED" in said, said
    run(OTR, "verify", receipt, "--model", MODEL, "--policy", policy, "--recompute")

    # A policy that names no such machine: nothing is asked, and the reason is given.
    other = work / "other.toml"
    text = policy.read_text()
    root = text.split('roots = ["0x')[1][:64]
    other.write_text(text.replace(root, "00" * 32))
    said = run(examples / "ask", url, other, MODEL, question, work / "none.json", expect=1)
    assert "was refused" in said and "[no_session]" in said, said
    assert not (work / "none.json").exists()
    said = run(examples / "verify_receipt", receipt, other, MODEL, expect=1)
    assert "FAILED: EVIDENCE_REFUSED" in said, said

    # One letter of the answer changed.
    good = receipt.read_text()
    changed = good.replace('"output_text":"A rollup', '"output_text":"A rollap', 1).replace(
        '"output_text":" A rollup', '"output_text":" A rollap', 1)
    assert changed != good
    receipt.write_text(changed)
    said = run(examples / "verify_receipt", receipt, policy, MODEL, expect=1)
    assert "FAILED: TEXT_MISMATCH" in said, said
    receipt.write_text("")
    run(examples / "verify_receipt", receipt, policy, MODEL, expect=1)


def main():
    with tempfile.TemporaryDirectory(prefix="otr-client-") as folder:
        work = pathlib.Path(folder)
        examples = build_examples(work)
        log = open(work / "log", "w+b")
        up = subprocess.Popen([OTR, "up", "--model", MODEL, "--home", str(work / "op"),
                               "--threads", "1", "--kv-memory", "64", "--gateway-port", "0",
                               "--proxy-port", "0"], stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while "Try it" not in (said := (work / "log").read_text()):
                assert up.poll() is None and time.monotonic() < end, said
                time.sleep(0.1)
            url = said.split("gateway   ")[1].split("/v1")[0]
            play(examples, work, url)
            up.terminate()
            assert up.wait(timeout=60) == 0, (work / "log").read_text()
        finally:
            if up.poll() is None:
                up.kill()
                up.wait()
            log.close()
    print("the library, from outside, holds")


if shutil.which("cmake") is None:
    sys.exit("cmake is not in the path")
main()
