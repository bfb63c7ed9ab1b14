#!/usr/bin/env python3
"""Plants one violation of each rule in a small tree and sees tidy.py find it, and nothing else."""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tidy  # noqa: E402

# A tree without findings.
CLEAN = {
    "src/base/CMakeLists.txt": "otr_module(base SOURCES a.cc TESTS a_test.cc TEST_DEPS crypto)\n",
    "src/base/a.h": "// Says what it is.\n#ifndef OTR_BASE_A_H_\n#define OTR_BASE_A_H_\n"
                    "int f();\n#endif  // OTR_BASE_A_H_\n",
    "src/base/a.cc": '#include "base/a.h"\n\n#include <vector>\n\n// SPEC ENC-1\n'
                     "int f() { return 1'000 + 0x1e9; }  // 1.5 of a float\n",
    "src/base/a_test.cc": '#include "base/a.h"\n#include "crypto/b.h"\nfloat x = 1.5;\n',
    "src/crypto/CMakeLists.txt": "otr_module(crypto\n  DEPS base  # a remark\n  LIBS x)\n",
    "src/engine/CMakeLists.txt": "otr_module(engine DEPS base)\n",
    "src/referee/CMakeLists.txt": "otr_module(referee DEPS base)\n",
    "spec/SPEC.md": "- **ENC-1** one\n- **ENC-2** two, see ENC-1\n| **ENC-3** | three |\n"
                    "## 9. Rules without vectors\n- ENC-3: follows from ENC-1\n## 10. More\n",
    "spec/vectors/a.json": '{"rule": "ENC-1"} {"rules": ["ENC-2", "ENC-1"]}\n',
    "tools/x.py": "def f():\n    return 1\n",
}


def spec_record(spec: str) -> dict:
    """The file that binds this text of the SPEC to its version, which is 0 where it says none."""
    return {"spec/SPEC.sha256": f"0 {hashlib.sha256(spec.encode()).hexdigest()}\n"}


def findings(changes: dict) -> list:
    """(rule, path, line) of every finding in the clean tree after `changes`; None removes."""
    with tempfile.TemporaryDirectory() as folder:
        tree = {**CLEAN, **changes}
        for path, content in {**spec_record(tree["spec/SPEC.md"] or ""), **tree}.items():
            if content is not None:
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(found.rule, found.path, found.line) for found in
                tidy.check_tree(pathlib.Path(folder))]


class TidyTest(unittest.TestCase):
    def expect(self, changes: dict, *expected: tuple) -> None:
        self.assertEqual(findings(changes), sorted(expected, key=lambda e: (e[1], e[2], e[0])))

    def expect_in_source(self, rule: str, line: str, module: str = "base") -> None:
        path = f"src/{module}/new.cc"
        listing = f"otr_module({module} SOURCES a.cc new.cc TESTS a_test.cc TEST_DEPS crypto)"
        with self.subTest(line):
            self.expect({f"src/{module}/CMakeLists.txt": listing, path: line + "\n"},
                        (rule, path, 1))

    def test_clean_tree(self) -> None:
        self.expect({})

    def test_floors(self) -> None:
        base = "src/base/CMakeLists.txt"
        listing = "otr_module(base SOURCES a.cc TESTS a_test.cc TEST_DEPS crypto DEPS {})"
        self.expect({base: listing.format("crypto")}, ("floor", base, 1))
        self.expect({base: listing.format("nowhere")}, ("floor", base, 1))
        same = "src/engine/CMakeLists.txt"
        self.expect({same: "otr_module(engine DEPS protocol)"}, ("floor", same, 1))
        odd = "src/odd/CMakeLists.txt"
        self.expect({odd: "otr_module(odd)"}, ("floor", odd, 1))

    def test_judge_does_not_know_the_athlete_even_through_another(self) -> None:
        text, referee = "src/text/CMakeLists.txt", "src/referee/CMakeLists.txt"
        self.expect({text: "otr_module(text DEPS env)", referee: "otr_module(referee DEPS text)"},
                    ("judge", referee, 1))

    def test_includes(self) -> None:
        self.expect_in_source("include", '#include "crypto/b.h"')
        self.expect_in_source("include", '#include "a.h"')
        self.expect_in_source("include", '#include "base/a.h"', "crypto")
        self.expect({"src/base/CMakeLists.txt": "otr_module(base SOURCES a.cc TESTS a_test.cc)"},
                    ("include", "src/base/a_test.cc", 2))
        self.expect({"src/base/b.cc": ""}, ("unlisted", "src/base/b.cc", 1))
        self.expect({"src/zk/a.cc": ""}, ("module", "src/zk/a.cc", 1))
        self.expect({"src/base/a.cc": '#include <vector>\n#include "base/a.h"\n'},
                    ("own-header", "src/base/a.cc", 1))

    def test_what_tests_share_is_test_code(self) -> None:
        text = '#include "crypto/b.h"\n#include <chrono>\n'
        head = CLEAN["src/base/a.h"].replace("_A_H_", "_FORGERY_H_").replace("int f();", text)
        files = {"src/base/forgery.cc": '#include "base/forgery.h"\n' + text,
                 "src/base/forgery.h": head}
        listing = "otr_module(base SOURCES a.cc{} TESTS a_test.cc{} TEST_DEPS crypto)\n"
        cmake = "src/base/CMakeLists.txt"
        self.expect({**files, cmake: listing.format("", " forgery.cc")})
        self.expect({**files, cmake: listing.format(" forgery.cc", "")},
                    ("include", "src/base/forgery.cc", 2), ("pure", "src/base/forgery.cc", 3),
                    ("include", "src/base/forgery.h", 4), ("pure", "src/base/forgery.h", 5))

    def test_purity(self) -> None:
        for line in ("float x;", "long double f();", "#include <cmath>", "int x = 1.5;",
                     "int x = 1e9;", "int x = 2.;", "__m512 x;"):
            self.expect_in_source("float", line)
        for line in ("#include <fstream>", "#include <chrono>", "#include <sys/stat.h>",
                     "#include <mutex>"):
            self.expect_in_source("pure", line)
        self.expect_in_source("throw", "void f() { throw 1; }")
        self.expect({"src/base/a.cc": '#include "base/a.h"\nvoid g() try { throw 1; } '
                                      "catch (int) {}\n"})

    def test_sizes(self) -> None:
        self.expect_in_source("line", "//" + "x" * 99)
        body = "  f();\n" * 69
        path = "src/base/a.cc"
        head = '#include "base/a.h"\n'
        for opener in ("void g() {", "namespace otr {\ntemplate <class T>\nvoid g(T x) const {"):
            start = 2 + opener.count("namespace")
            closer = "}\n" * (1 + opener.count("namespace"))
            with self.subTest(opener):
                self.expect({path: f"{head}{opener}\n{body}{closer}"}, ("function", path, start))
        self.expect({path: f"{head}void g() {{\n{body[7:]}}}\n"})
        self.expect({path: f"{head}namespace a {{\n{body}}}\n"})
        self.expect({path: head + "int x;\n" * 500}, ("file", path, 500))
        self.expect({path: head + "// Generated by a tool.\n" + "int x;\n" * 500})
        self.expect({"tools/x.py": "def f():\n" + "    g()\n" * 70}, ("function", "tools/x.py", 1))
        self.expect({"run": "#!/bin/bash\n" + "x" * 101}, ("line", "run", 2))

    def test_names(self) -> None:
        self.expect({"tools/string_util.py": ""}, ("name", "tools/string_util.py", 1))
        self.expect({"spec/common/a.md": ""}, ("name", "spec/common/a.md", 1))
        self.expect_in_source("name", "class SessionManager;")
        self.expect_in_source("name", "enum class MiscKind {};")

    def test_leftovers(self) -> None:
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"):
            self.expect_in_source("leftover", f"// {word}: later")
        for line in ("// return x;", "// total += a[i];", "// Foo x = bar();", "// run(1, 2);",
                     "// if (x) {", '// #include "base/a.h"', "// }"):
            self.expect_in_source("dead-code", line)
        self.expect({"tools/x.py": "# import os\n"}, ("dead-code", "tools/x.py", 1))
        self.expect({"README.md": "see /wor" + "k/main"}, ("machine-path", "README.md", 1))
        self.expect({"README.md": "http://deb" + ".debian.org/x"}, ("registry", "README.md", 1))

    def test_headers(self) -> None:
        path = "src/base/a.h"
        good = CLEAN[path]
        self.expect({path: good.replace("BASE_A", "A")}, ("guard", path, 1))
        self.expect({path: good.replace("#endif  // OTR_BASE_A_H_", "#endif")}, ("guard", path, 1))
        self.expect({path: good.split("\n", 1)[1]}, ("head", path, 1))

    def test_spec(self) -> None:
        spec = "spec/SPEC.md"
        good = CLEAN[spec]
        self.expect({spec: "- **ENC-1** again\n" + good}, ("rule-twice", spec, 2))
        self.expect_in_source("rule-unknown", "// SPEC " + "ENC-1, ENC-7")
        self.expect({spec: good.replace("- ENC-3:", "- ENC-8:")}, ("rule-unknown", spec, 5),
                    ("rule-untested", spec, 3))
        self.expect({spec: good.replace("- ENC-3:", "ENC-3:")}, ("rule-untested", spec, 3))
        self.expect({"spec/vectors/a.json": '{"rule": "ENC-2"}'}, ("rule-untested", spec, 1))
        self.expect({"spec/vectors/b.json": '{"rules":["ENC-9"]}'},
                    ("rule-unknown", "spec/vectors/b.json", 1))
        self.expect({"spec/vectors/a.json": None})
        self.expect({spec: None})

    def test_proof_rules_are_rules(self) -> None:
        proof = "spec/PROOF.md"
        text = "- **PF-1** one\n## Rules without vectors\n- PF-2: an argument\n"
        self.expect({proof: text}, ("rule-unknown", proof, 3), ("rule-untested", proof, 1))
        named = {"src/base/a.cc": CLEAN["src/base/a.cc"] + "// SPEC " + "PF-1\n",
                 "spec/proof/a.py": "# PF-1\n"}
        good = text + "- **PF-2** two\n"
        self.expect({proof: good, **named})
        self.expect({proof: good, **named, "spec/proof/a.py": "# PF-2\n"},
                    ("rule-untested", proof, 1))
        self.expect({proof: good, **named, "src/base/a.cc": CLEAN["src/base/a.cc"]},
                    ("rule-untested", proof, 1))
        self.expect({proof: good.replace("PF-1", "ENC-1"), **named, "spec/proof/a.py": "# ENC-1"},
                    ("rule-unknown", "src/base/a.cc", 7), ("rule-twice", "spec/SPEC.md", 1))
        self.expect({proof: good, **named, "tools/x.py": "# SPEC " + "PF-3\n"},
                    ("rule-unknown", "tools/x.py", 1))

    def test_spec_version(self) -> None:
        spec, record = "spec/SPEC.md", "spec/SPEC.sha256"
        found = ("spec-version", spec, 1)
        self.expect({record: None}, found)
        self.expect({spec: CLEAN[spec] + "\n", **spec_record(CLEAN[spec])}, found)
        for version in (1, 2):
            text = CLEAN[spec] + f"- **TAB-8** u32 version = {version}, roots\n"
            text = text.replace("- ENC-3:", "- ENC-3, TAB-8:")
            digest = hashlib.sha256(text.encode()).hexdigest()
            self.expect({spec: text, record: f"{version} {digest}\n"})
            self.expect({spec: text, record: f"{version + 1} {digest}\n"}, found)

    def test_binary_files_are_passed_over(self) -> None:
        self.expect({"fuzz/corpus/a/b": b"\xff\xfe", "fuzz/corpus/a/c": b"a\0b"})

    def test_exit_status(self) -> None:
        program = pathlib.Path(tidy.__file__)
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(subprocess.run([sys.executable, program, folder],
                                            capture_output=True).returncode, 0)
            pathlib.Path(folder, "a.py").write_text("# TO" + "DO\n")
            result = subprocess.run([sys.executable, program, folder], capture_output=True)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"a.py:1: leftover: ", result.stdout)


if __name__ == "__main__":
    unittest.main()
