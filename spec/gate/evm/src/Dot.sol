// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// Exact dot product of int8 weights and int16 little-endian activations, eight products in one multiplication.
///
/// XOR 0x80 turns a weight into w' = w + 128 and XOR 0x8000 an activation into a' = a + 32768, both unsigned. Eight
/// lanes of 32 bits: one MUL leaves the sum of eight products w'·a' in the top lane if the lanes of one factor run
/// against those of the other. 32 products of words stay below 32·8·255·65535 < 2^32 in every lane, so nothing is
/// carried for 256 elements; then the top lane is added up. The bias: Σwa = Σw'a' - 128·Σa' - 32768·Σw' + n·2^22.
library Dot {
    uint256 private constant BYTES_1 = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant BYTES_2 = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
    uint256 private constant BYTES_4 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant BYTES_8 = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
    uint256 private constant LANE_BYTE = 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff;
    uint256 private constant LANE_HALF = 0x000000000000ffff000000000000ffff000000000000ffff000000000000ffff;

    /// `n` a multiple of 256, at most 4096; `w` and `a` are memory addresses of n and 2n bytes.
    function packed(uint256 w, uint256 a, uint256 n) internal pure returns (int256 sum) {
        uint256 total;
        // The sums of w' and a' live in scratch memory (0x00 and 0x20): the stack is full.
        assembly ("memory-safe") {
            mstore(0x00, 0)
            mstore(0x20, 0)
        }
        unchecked {
            for (uint256 block_ = 0; block_ < n; block_ += 256) {
                uint256 acc = 0;
                for (uint256 i = block_; i < block_ + 256; i += 32) {
                    uint256 x;
                    uint256 hi;
                    uint256 lo;
                    assembly ("memory-safe") {
                        x := mload(add(w, i))
                        hi := mload(add(a, shl(1, i)))
                        lo := mload(add(add(a, shl(1, i)), 32))
                    }
                    x ^= 0x8080808080808080808080808080808080808080808080808080808080808080;
                    hi ^= 0x0080008000800080008000800080008000800080008000800080008000800080;
                    lo ^= 0x0080008000800080008000800080008000800080008000800080008000800080;
                    hi = ((hi & BYTES_1) << 8) | ((hi >> 8) & BYTES_1);
                    lo = ((lo & BYTES_1) << 8) | ((lo >> 8) & BYTES_1);
                    assembly ("memory-safe") {
                        mstore(0x00, add(mload(0x00), add(and(x, BYTES_1), and(shr(8, x), BYTES_1))))
                        let t := add(and(hi, BYTES_2), and(shr(16, hi), BYTES_2))
                        mstore(0x20, add(mload(0x20), add(t, add(and(lo, BYTES_2), and(shr(16, lo), BYTES_2)))))
                    }
                    x = shuffle(reverse(x));
                    // Lane 2j of the right factor: element 28 + k - 4j; lane 2j + 1: element 12 + k - 4j (k = 0 … 3).
                    acc += (x & LANE_BYTE) * (((lo >> 48) & LANE_HALF) | (((hi >> 48) & LANE_HALF) << 32));
                    acc += ((x >> 8) & LANE_BYTE) * (((lo >> 32) & LANE_HALF) | (((hi >> 32) & LANE_HALF) << 32));
                    acc += ((x >> 16) & LANE_BYTE) * (((lo >> 16) & LANE_HALF) | (((hi >> 16) & LANE_HALF) << 32));
                    acc += ((x >> 24) & LANE_BYTE) * ((lo & LANE_HALF) | ((hi & LANE_HALF) << 32));
                }
                total += acc >> 224;
            }
            // The sum of the 32-bit lanes is the number modulo 2^32 - 1 as long as it is below that.
            uint256 sumW;
            uint256 sumA;
            assembly ("memory-safe") {
                sumW := mload(0x00)
                sumA := mload(0x20)
            }
            sumW = ((sumW & BYTES_2) + ((sumW >> 16) & BYTES_2)) % 0xffffffff;
            sumA = sumA % 0xffffffff;
            sum = int256(total) - int256(128 * sumA) - int256(32768 * sumW) + int256(n << 22);
        }
    }

    /// Bytes in reverse order.
    function reverse(uint256 x) internal pure returns (uint256) {
        x = ((x & BYTES_1) << 8) | ((x >> 8) & BYTES_1);
        x = ((x & BYTES_2) << 16) | ((x >> 16) & BYTES_2);
        x = ((x & BYTES_4) << 32) | ((x >> 32) & BYTES_4);
        x = ((x & BYTES_8) << 64) | ((x >> 64) & BYTES_8);
        return (x << 128) | (x >> 128);
    }

    /// Lanes 7 6 5 4 3 2 1 0 of 32 bits become 7 3 6 2 5 1 4 0.
    function shuffle(uint256 x) private pure returns (uint256) {
        x = (x & 0xffffffffffffffff00000000000000000000000000000000ffffffffffffffff)
            | ((x >> 64) & 0x0000000000000000ffffffffffffffff << 64)
            | ((x & (0xffffffffffffffff << 64)) << 64);
        uint256 m = 0x0000000000000000ffffffff000000000000000000000000ffffffff00000000;
        return (x & 0xffffffff0000000000000000ffffffffffffffff0000000000000000ffffffff) | ((x & m) << 32) | ((x >> 32) & m);
    }
}
