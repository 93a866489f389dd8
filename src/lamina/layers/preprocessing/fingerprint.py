"""Hashes of byte strings that are the same on every machine and in every process.

``fingerprint64`` is FarmHash's (Pike, 2014), ``siphash`` is SipHash-2-4 (Aumasson and Bernstein, 2012): those by
which Keras and TensorFlow put strings into bins, so that models agree on the bins.
"""

from __future__ import annotations

MASK = 0xFFFFFFFFFFFFFFFF
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
CROSSING = 0xC6A4A7935BD1E995


def _word(s: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(s[at : at + size], "little")


def _rotate(x: int, by: int) -> int:
    return ((x >> by) | (x << (64 - by))) & MASK if by else x


def _mix(x: int) -> int:
    return x ^ (x >> 47)


def _pair(u: int, v: int, factor: int) -> int:
    a = _mix(((u ^ v) * factor) & MASK)
    b = _mix(((v ^ a) * factor) & MASK)
    return (b * factor) & MASK


def _upto_16(s: bytes) -> int:
    n = len(s)
    factor = (K2 + n * 2) & MASK
    if n >= 8:
        a, b = (_word(s, 0) + K2) & MASK, _word(s, n - 8)
        return _pair((_rotate(b, 37) * factor + a) & MASK, ((_rotate(a, 25) + b) * factor) & MASK, factor)
    if n >= 4:
        return _pair((n + (_word(s, 0, 4) << 3)) & MASK, _word(s, n - 4, 4), factor)
    if n > 0:
        y, z = s[0] + (s[n >> 1] << 8), n + (s[n - 1] << 2)
        return (_mix(((y * K2) ^ (z * K0)) & MASK) * K2) & MASK
    return K2


def _upto_32(s: bytes) -> int:
    n = len(s)
    factor = (K2 + n * 2) & MASK
    a, b = (_word(s, 0) * K1) & MASK, _word(s, 8)
    c, d = (_word(s, n - 8) * factor) & MASK, (_word(s, n - 16) * K2) & MASK
    return _pair(
        (_rotate((a + b) & MASK, 43) + _rotate(c, 30) + d) & MASK,
        (a + _rotate((b + K2) & MASK, 18) + c) & MASK,
        factor,
    )


def _upto_64(s: bytes) -> int:
    n = len(s)
    factor = (K2 + n * 2) & MASK
    a, b = (_word(s, 0) * K2) & MASK, _word(s, 8)
    c, d = (_word(s, n - 8) * factor) & MASK, (_word(s, n - 16) * K2) & MASK
    y = (_rotate((a + b) & MASK, 43) + _rotate(c, 30) + d) & MASK
    z = _pair(y, (a + _rotate((b + K2) & MASK, 18) + c) & MASK, factor)
    e, f = (_word(s, 16) * factor) & MASK, _word(s, 24)
    g, h = ((y + _word(s, n - 32)) * factor) & MASK, ((z + _word(s, n - 24)) * factor) & MASK
    return _pair(
        (_rotate((e + f) & MASK, 43) + _rotate(g, 30) + h) & MASK,
        (e + _rotate((f + a) & MASK, 18) + g) & MASK,
        factor,
    )


def _weak(s: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = (_word(s, at + i) for i in (0, 8, 16, 24))
    a = (a + w) & MASK
    b = _rotate((b + a + z) & MASK, 21)
    c = a
    a = (a + x + y) & MASK
    b = (b + _rotate(a, 44)) & MASK
    return (a + z) & MASK, (b + c) & MASK


def fingerprint64(s: bytes) -> int:
    """FarmHash's 64-bit fingerprint of a byte string."""
    n = len(s)
    if n <= 16:
        return _upto_16(s)
    if n <= 32:
        return _upto_32(s)
    if n <= 64:
        return _upto_64(s)
    seed = 81
    x, y = seed, (seed * K1 + 113) & MASK
    z = (_mix((y * K2 + 113) & MASK) * K2) & MASK
    v, w = (0, 0), (0, 0)
    x = (x * K2 + _word(s, 0)) & MASK
    end, last = ((n - 1) // 64) * 64, n - 64
    at = 0
    while at != end:
        x = (_rotate((x + y + v[0] + _word(s, at + 8)) & MASK, 37) * K1) & MASK
        y = (_rotate((y + v[1] + _word(s, at + 48)) & MASK, 42) * K1) & MASK
        x ^= w[1]
        y = (y + v[0] + _word(s, at + 40)) & MASK
        z = (_rotate((z + w[0]) & MASK, 33) * K1) & MASK
        v = _weak(s, at, (v[1] * K1) & MASK, (x + w[0]) & MASK)
        w = _weak(s, at + 32, (z + w[1]) & MASK, (y + _word(s, at + 16)) & MASK)
        z, x = x, z
        at += 64
    factor = (K1 + ((z & 0xFF) << 1)) & MASK
    at = last
    w = ((w[0] + ((n - 1) & 63)) & MASK, w[1])
    v = ((v[0] + w[0]) & MASK, v[1])
    w = ((w[0] + v[0]) & MASK, w[1])
    x = (_rotate((x + y + v[0] + _word(s, at + 8)) & MASK, 37) * factor) & MASK
    y = (_rotate((y + v[1] + _word(s, at + 48)) & MASK, 42) * factor) & MASK
    x ^= (w[1] * 9) & MASK
    y = (y + v[0] * 9 + _word(s, at + 40)) & MASK
    z = (_rotate((z + w[0]) & MASK, 33) * factor) & MASK
    v = _weak(s, at, (v[1] * factor) & MASK, (x + w[0]) & MASK)
    w = _weak(s, at + 32, (z + w[1]) & MASK, (y + _word(s, at + 16)) & MASK)
    z, x = x, z
    return _pair(
        (_pair(v[0], w[0], factor) + _mix(y) * K0 + z) & MASK,
        (_pair(v[1], w[1], factor) + x) & MASK,
        factor,
    )


def crossed(first: int, second: int) -> int:
    """One 64-bit fingerprint of two."""
    result = first ^ CROSSING
    result ^= (_mix((second * CROSSING) & MASK) * CROSSING) & MASK
    result = (result * CROSSING) & MASK
    return _mix((_mix(result) * CROSSING) & MASK)


def siphash(s: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 of a byte string under a key of two 64-bit numbers."""
    v0, v1 = key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D
    v2, v3 = key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573

    def turn(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
        v0 = (v0 + v1) & MASK
        v1 = _rotate(v1, 64 - 13) ^ v0
        v0 = _rotate(v0, 32)
        v2 = (v2 + v3) & MASK
        v3 = _rotate(v3, 64 - 16) ^ v2
        v0 = (v0 + v3) & MASK
        v3 = _rotate(v3, 64 - 21) ^ v0
        v2 = (v2 + v1) & MASK
        v1 = _rotate(v1, 64 - 17) ^ v2
        v2 = _rotate(v2, 32)
        return v0, v1, v2, v3

    n = len(s)
    words = [_word(s, at) for at in range(0, n - n % 8, 8)]
    words.append(_word(s, n - n % 8, n % 8) | ((n & 0xFF) << 56))
    for m in words:
        v3 ^= m
        v0, v1, v2, v3 = turn(*turn(v0, v1, v2, v3))
        v0 ^= m
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = turn(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
