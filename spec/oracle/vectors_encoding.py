"""ENC-4: in {json: the bytes in hexadecimal} out {canonical: the same bytes} or a reject. ENC-5: in
{bytes} out {text: UTF-8 in
hexadecimal}."""

from oracle.case import accept, outcome, refused
from oracle.encoding import canonical_json, hexa, read_canonical, utf8_lossy

ACCEPTED = (
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "9007199254740993",
    "18446744073709551615",
    "-9223372036854775808",
    '""',
    "[]",
    "{}",
    "[0,1,[2],{}]",
    '{"a":1,"b":[true,null]}',
    '{"":0,"A":1,"a":2,"aa":3}',
    '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\x7f"',
    '"\u00e9\u20ac\U0001f600\u2028"',
    '{"\ue000":1,"\U00010000":2}',
    "[" * 64 + "]" * 64,
    '{"a":{"a":[1,"[{"]}}',
)
NOT_CANONICAL = (
    ("space", '{"a": 1}'),
    ("space before", " 1"),
    ("line feed after", "1\n"),
    ("tab in array", "[\t]"),
    ("space in object", "{ }"),
    ("space before colon", '{"a" :1}'),
    ("order of members", '{"b":1,"a":2}'),
    ("member twice", '{"a":1,"a":1}'),
    ("order is by bytes, not UTF-16", '{"\U00010000":2,"\ue000":1}'),
    ("fraction", "1.5"),
    ("fraction of zero", "1.0"),
    ("exponent", "1e3"),
    ("upper-case exponent", "1E3"),
    ("plus", "+1"),
    ("leading zero", "01"),
    ("minus zero", "-0"),
    ("minus leading zero", "-01"),
    ("2^64", "18446744073709551616"),
    ("below -2^63", "-9223372036854775809"),
    ("very long number", "1" * 400),
    ("escaped slash", '"\\/"'),
    ("escaped letter", '"\\u0041"'),
    ("upper-case digits", '"\\u001F"'),
    ("long form of line feed", '"\\u000a"'),
    ("escaped e-acute", '"\\u00e9"'),
    ("escaped 7f", '"\\u007f"'),
    ("surrogate pair", '"\\ud83d\\ude00"'),
    ("lone surrogate", '"\\ud800"'),
    ("byte order mark", "\ufeff1"),
    ("65 levels", "[" * 65 + "]" * 65),
    ("65 levels of objects", '{"a":' * 65 + "1" + "}" * 65),
)
MALFORMED = (
    ("empty", b""),
    ("truncated object", b'{"a":1'),
    ("truncated string", b'"a'),
    ("truncated word", b"tru"),
    ("two values", b"1,2"),
    ("trailing comma", b"[1,]"),
    ("trailing comma in object", b'{"a":1,}'),
    ("no comma", b"[1[]]"),
    ("no colon", b'{"a"1}'),
    ("unquoted name", b"{a:1}"),
    ("number as name", b"{1:1}"),
    ("single quotes", b"'a'"),
    ("NaN", b"NaN"),
    ("Infinity", b"Infinity"),
    ("comment", b"/**/1"),
    ("bad escape", b'"\\q"'),
    ("short escape", b'"\\u00"'),
    ("escape with sign", b'"\\u+041"'),
    ("raw control", b'"\x01"'),
    ("raw line feed", b'"\n"'),
    ("continuation byte", b'"\x80"'),
    ("overlong slash", b'"\xc0\xaf"'),
    ("surrogate in UTF-8", b'"\xed\xa0\x80"'),
    ("above U+10FFFF", b'"\xf4\x90\x80\x80"'),
    ("truncated UTF-8", b'"\xe2\x82"'),
    ("byte after the value", b"{}x"),
    ("zero byte after the value", b"{}\x00"),
    ("closed twice", b"[]]"),
    ("wrong bracket", b"[}"),
)
LOSSY = (
    b"",
    b"plain",
    "é€😀".encode(),
    b"\x80",
    b"\xff\xfe",
    b"a\xc3",
    b"\xc3\xc3\xa9",
    b"\xe2\x82",
    b"\xe2\x82a",
    b"\xe2\x28\xa1",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98\xf0\x9f\x98\x80",
    b"\xf0\x80\x80\x80",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\x9f\xbf\xee\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xc0\x80\xc1\xbf",
    b"\xf1\x80\x41",
    b"a\xf1\x80\x80\xe1\x80\xc2b\x80c\x80\xbfd",
    b"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\x00\xc2\x00",
)


def _read(data):
    return lambda: {"canonical": hexa(canonical_json(read_canonical(data)))}


def cases():
    out = [
        outcome("ENC-4", "accepted", {"json": hexa(text.encode())}, _read(text.encode()))
        for text in ACCEPTED
    ]
    assert all("out" in case for case in out)
    for name, text in NOT_CANONICAL:
        out.append(
            refused(
                "ENC-4", name, {"json": hexa(text.encode())}, "NOT_CANONICAL", _read(text.encode())
            )
        )
    for name, data in MALFORMED:
        out.append(refused("ENC-4", name, {"json": hexa(data)}, "MALFORMED", _read(data)))
    for data in LOSSY:
        out.append(
            accept(
                "ENC-5", "lossy", {"bytes": hexa(data)}, {"text": hexa(utf8_lossy(data).encode())}
            )
        )
    return out
