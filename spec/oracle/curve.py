"""Keccak-256 and secp256k1 ECDSA as Ethereum uses them (REQ-1, REQ-6). Not constant-time: the keys
here are test keys."""

import hashlib
import hmac
from functools import lru_cache

from oracle.encoding import require

_MASK = 2**64 - 1


def _round_constants():
    out, state = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            if state & 1:
                constant |= 1 << (2**j - 1)
            state = (state << 1) ^ (0x171 if state & 0x80 else 0)
        out.append(constant)
    return out


_CONSTANTS = _round_constants()


def _rotate(v, n):
    n %= 64
    return ((v << n) | (v >> (64 - n))) & _MASK


def _keccak_f(a):
    for constant in _CONSTANTS:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x - 1) % 5] ^ _rotate(c[(x + 1) % 5], 1) for x in range(5)]
        a = [v ^ d[i % 5] for i, v in enumerate(a)]
        x, y, current = 1, 0, a[1]
        for t in range(24):  # rho and pi
            x, y = y, (2 * x + 3 * y) % 5
            current, a[x + 5 * y] = a[x + 5 * y], _rotate(current, (t + 1) * (t + 2) // 2)
        a = [
            a[i] ^ (~a[i - i % 5 + (i + 1) % 5] & a[i - i % 5 + (i + 2) % 5] & _MASK)
            for i in range(25)
        ]
        a[0] ^= constant
    return a


@lru_cache(4096)
def keccak256(data):
    """The Keccak of Ethereum: padding 0x01, rate 136 bytes."""
    padded = bytearray(data + b"\x01" + bytes(-(len(data) + 1) % 136))
    padded[-1] |= 0x80
    state = [0] * 25
    for block in range(0, len(padded), 136):
        for i in range(17):
            state[i] ^= int.from_bytes(padded[block + 8 * i : block + 8 * i + 8], "little")
        state = _keccak_f(state)
    return b"".join(v.to_bytes(8, "little") for v in state[:4])


# --- secp256k1: y^2 = x^3 + 7 over the field of p elements, generator G of prime order N
# ------------------------

FIELD = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GENERATOR = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def _double(point):
    """In Jacobian coordinates (x/z^2, y/z^3); z = 0 is the point at infinity."""
    x, y, z = point
    s, m = 4 * x * y * y % FIELD, 3 * x * x % FIELD
    x2 = (m * m - 2 * s) % FIELD
    return x2, (m * (s - x2) - 8 * pow(y, 4, FIELD)) % FIELD, 2 * y * z % FIELD


def _add(p, q):
    if p[2] == 0:
        return q
    if q[2] == 0:
        return p
    z1, z2 = p[2] * p[2] % FIELD, q[2] * q[2] % FIELD
    u1, u2 = p[0] * z2 % FIELD, q[0] * z1 % FIELD
    s1, s2 = p[1] * z2 * q[2] % FIELD, q[1] * z1 * p[2] % FIELD
    if u1 == u2:
        return _double(p) if s1 == s2 else (1, 1, 0)
    h, r = (u2 - u1) % FIELD, (s2 - s1) % FIELD
    h2 = h * h % FIELD
    x = (r * r - h * h2 - 2 * u1 * h2) % FIELD
    return x, (r * (u1 * h2 - x) - s1 * h * h2) % FIELD, h * p[2] * q[2] % FIELD


def _multiply(k, point):
    out, base = (1, 1, 0), (*point, 1)
    while k:
        if k & 1:
            out = _add(out, base)
        base, k = _double(base), k >> 1
    return out


def _affine(point):
    inverse = pow(point[2], -1, FIELD)
    return point[0] * inverse**2 % FIELD, point[1] * inverse**3 % FIELD


def address_of_point(point):
    return keccak256(point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big"))[12:]


def address(private_key):
    return address_of_point(_affine(_multiply(private_key, GENERATOR)))


def _nonces(private_key, digest):
    """RFC 6979 with HMAC-SHA-256."""
    material = private_key.to_bytes(32, "big") + (int.from_bytes(digest, "big") % ORDER).to_bytes(
        32, "big"
    )
    v, k = b"\x01" * 32, bytes(32)
    for separator in (b"\x00", b"\x01"):
        k = hmac.new(k, v + separator + material, hashlib.sha256).digest()
        v = hmac.new(k, v, hashlib.sha256).digest()
    while True:
        v = hmac.new(k, v, hashlib.sha256).digest()
        if 1 <= int.from_bytes(v, "big") < ORDER:
            yield int.from_bytes(v, "big")
        k = hmac.new(k, v + b"\x00", hashlib.sha256).digest()
        v = hmac.new(k, v, hashlib.sha256).digest()


def join(r, s, v):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])


def sign(private_key, digest):
    """REQ-6: r, s, v with the lower of the two s."""
    z = int.from_bytes(digest, "big")
    for nonce in _nonces(private_key, digest):
        x, y = _affine(_multiply(nonce, GENERATOR))
        r = x % ORDER
        s = pow(nonce, -1, ORDER) * (z + r * private_key) % ORDER
        if r == 0 or s == 0 or x >= ORDER:
            continue
        odd = y & 1
        if s > ORDER // 2:
            s, odd = ORDER - s, odd ^ 1
        return join(r, s, 27 + odd)


def recover(digest, signature, code):
    """REQ-6: the signer's address, or a Reject with `code`."""
    require(len(signature) == 65, code, "length")
    r, s, v = (
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
        signature[64],
    )
    require(1 <= r < ORDER and 1 <= s <= ORDER // 2 and v in (27, 28), code, "r, s or v")
    square = (pow(r, 3, FIELD) + 7) % FIELD
    y = pow(square, (FIELD + 1) // 4, FIELD)
    require(y * y % FIELD == square, code, "r is no x of the curve")
    if y & 1 != v - 27:
        y = FIELD - y
    inverse, z = pow(r, -1, ORDER), int.from_bytes(digest, "big")
    point = _add(_multiply(s * inverse % ORDER, (r, y)), _multiply(-z * inverse % ORDER, GENERATOR))
    require(point[2] != 0, code, "infinity")
    return address_of_point(_affine(point))
