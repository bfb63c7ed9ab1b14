"""SPEC chapter 2 (ENC) and the reject codes of chapter 15 (REJ)."""

import hashlib

CODES = (
    "MALFORMED NOT_CANONICAL LIMIT_EXCEEDED SPEC_MISMATCH MODEL_INVALID MODEL_ROOT_MISMATCH "
    "REQUEST_INVALID TASK_ID_MISMATCH PROMPT_ROOT_MISMATCH REQUEST_SIGNATURE "
    "REQUEST_HASH_MISMATCH COUNT_MISMATCH CLAIM_SIGNATURE COUNTERSIGNATURE EVIDENCE_MISMATCH "
    "TEXT_MISMATCH FINISH_MISMATCH TOKEN_MISMATCH OUT_OF_RANGE TRACE_ROOT_MISMATCH PATH_INVALID "
    "STEP_MISMATCH TOKEN_PATH_MISMATCH PROOF_INVALID SESSION_INVALID SESSION_SIGNATURE "
    "SESSION_MISMATCH SESSION_EXPIRED EVIDENCE_REFUSED"
).split()  # REJ-1: number = index + 1
# Chapters 24 to 26, from 30 on, and 27 to 31, from 50 on.
MOVE_CODES = (
    "STEP_UNKNOWN NOT_REFUTED WITNESS_INCOMPLETE WITNESS_SURPLUS ANSWER_MISMATCH ANSWER_BOUND "
    "DEMAND_INVALID DEMAND_LIMIT MOVE_OUT_OF_TURN STATE_MISMATCH CLOCK_EXPIRED CLOCK_RUNNING "
    "GAME_OVER PARAMETERS_INVALID"
).split()
LEDGER_CODES = (
    "TX_SIGNATURE NO_ACCOUNT NONCE INSUFFICIENT NOT_ALLOWED UNKNOWN EXISTS BAD_STATE TOO_EARLY "
    "TOO_LATE STAKE_TOO_LOW BAD_AMOUNT BAD_PARAMETERS STALE_EPOCH SESSION_REVOKED NOT_DRAWN "
    "BEACON_MISMATCH CHECKPOINT_MISMATCH NOT_EQUIVOCATION QUORUM_MISSING VOUCHER_SIGNATURE "
    "CANARY_MISMATCH"
).split()
NUMBERS = {
    code: first + i
    for first, codes in ((1, CODES), (30, MOVE_CODES), (50, LEDGER_CODES))
    for i, code in enumerate(codes)
}


class Reject(Exception):
    """A verifier's refusal; `code` is one of NUMBERS."""

    def __init__(self, code, why=""):
        assert code in NUMBERS, code
        super().__init__(f"{code}: {why}")
        self.code = code


def require(condition, code, why=""):
    if not condition:
        raise Reject(code, why)


# ENC-1: width in bytes and signedness of the integer types, by SPEC name.
INTEGERS = {
    "i8": (1, True),
    "u8": (1, False),
    "i16": (2, True),
    "u16": (2, False),
    "i32": (4, True),
    "u32": (4, False),
    "i64": (8, True),
    "u64": (8, False),
}


def integer(type_name, value):
    width, signed = INTEGERS[type_name]
    return value.to_bytes(width, "little", signed=signed)


def integers(type_name, values):
    return b"".join(integer(type_name, v) for v in values)


def H(tag, *parts):
    """ENC-2."""
    assert len(tag) == 8
    return hashlib.sha256(tag.encode("ascii") + b"".join(parts)).digest()


def hexa(data):
    """ENC-3."""
    return "0x" + data.hex()


def unhex(text, size, code="MALFORMED"):
    """ENC-3, `size` bytes exactly."""
    good = isinstance(text, str) and len(text) == 2 + 2 * size and text.startswith("0x")
    require(
        good and all(c in "0123456789abcdef" for c in text[2:]), code, f"not {size} bytes: {text!r}"
    )
    return bytes.fromhex(text[2:])


def utf8_lossy(data):
    """ENC-5: CPython's decoder replaces maximal subparts, as Unicode 15 section 3.9 describes."""
    return data.decode("utf-8", "replace")


# --- ENC-4, canonical JSON
# ---------------------------------------------------------------------------------

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
MAX_NESTING = 64


def _quoted(text):
    return (
        '"'
        + "".join(_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 else c) for c in text)
        + '"'
    )


def _canonical(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        assert -(2**63) <= value < 2**64
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda m: m[0].encode("utf-8"))
        return "{" + ",".join(_quoted(k) + ":" + _canonical(v) for k, v in members) + "}"
    return "[" + ",".join(_canonical(v) for v in value) + "]"


def canonical_json(value):
    return _canonical(value).encode("utf-8")


class _Parser:
    """Reads canonical JSON. Text that is JSON in another spelling, or breaks a limit that ENC-4
    names, is
    NOT_CANONICAL; text that is no JSON at all is MALFORMED."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def peek(self):
        return self.text[self.at : self.at + 1]

    def take(self, literal):
        require(
            self.text.startswith(literal, self.at),
            "MALFORMED",
            f"expected {literal!r} at {self.at}",
        )
        self.at += len(literal)

    def no_space(self):
        require(
            self.peek() == "" or self.peek() not in " \t\r\n",
            "NOT_CANONICAL",
            f"white space at {self.at}",
        )

    def value(self, depth):
        self.no_space()
        first = self.peek()
        if first in ("{", "["):
            require(depth < MAX_NESTING, "NOT_CANONICAL", "nesting")
            result = self.object(depth + 1) if first == "{" else self.array(depth + 1)
        elif first == '"':
            result = self.string()
        elif first != "" and first in "+-0123456789":
            result = self.number()
        else:
            result = self.word()
        self.no_space()
        return result

    def word(self):
        for word, value in (("null", None), ("true", True), ("false", False)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        raise Reject("MALFORMED", f"no value at {self.at}")

    def array(self, depth):
        self.take("[")
        self.no_space()
        items = []
        while self.peek() != "]":
            if items:
                self.take(",")
            items.append(self.value(depth))
        self.take("]")
        return items

    def object(self, depth):
        self.take("{")
        self.no_space()
        members, last = {}, None
        while self.peek() != "}":
            if members:
                self.take(",")
                self.no_space()
            name = self.string()
            self.no_space()
            self.take(":")
            key = name.encode("utf-8")
            require(last is None or last < key, "NOT_CANONICAL", f"member order at {self.at}")
            last = key
            members[name] = self.value(depth)
        self.take("}")
        return members

    def number(self):
        start = self.at
        while self.peek() != "" and self.peek() in "+-.eE0123456789":
            self.at += 1
        text = self.text[start : self.at]
        digits = text[1:] if text.startswith("-") else text
        plain = digits.isdigit() and (digits[0] != "0" or text == "0")
        require(
            plain and len(text) <= 20 and -(2**63) <= int(text) < 2**64,
            "NOT_CANONICAL",
            f"number {text}",
        )
        return int(text)

    def string(self):
        self.take('"')
        out = []
        while self.peek() != '"':
            c = self.peek()
            require(c != "" and ord(c) >= 0x20, "MALFORMED", f"in a string at {self.at}")
            out.append(self.escape() if c == "\\" else c)
            self.at += 0 if c == "\\" else 1
        self.take('"')
        return "".join(out)

    def escape(self):
        kind = self.text[self.at + 1 : self.at + 2]
        if kind == "u":
            digits = self.text[self.at + 2 : self.at + 6]
            require(
                len(digits) == 4 and all(d in "0123456789abcdefABCDEF" for d in digits),
                "MALFORMED",
                "escape",
            )
            length, char = 6, chr(int(digits, 16))
        else:
            char = {v[1]: k for k, v in _ESCAPES.items()}.get(kind)
            require(char is not None or kind == "/", "MALFORMED", f"escape at {self.at}")
            length = 2
        spelled = self.text[self.at : self.at + length]
        require(
            char is not None and _quoted(char)[1:-1] == spelled,
            "NOT_CANONICAL",
            f"escape {spelled}",
        )
        self.at += length
        return char


def read_canonical(data):
    """ENC-4: the value of canonical JSON bytes."""
    require(not data.startswith(b"\xef\xbb\xbf"), "NOT_CANONICAL", "byte order mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Reject("MALFORMED", str(error)) from None
    parser = _Parser(text)
    value = parser.value(0)
    require(parser.at == len(text), "MALFORMED", f"bytes after the value at {parser.at}")
    assert canonical_json(value) == data
    return value
