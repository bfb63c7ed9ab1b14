// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Dot} from "../src/Dot.sol";
import {Tree} from "../src/Tree.sol";

contract StepTest {
    function plain(bytes memory w, bytes memory a, uint256 n) private pure returns (int256 sum) {
        for (uint256 i = 0; i < n; ++i) {
            int256 x = int8(uint8(w[i]));
            int256 y = int16(uint16(uint8(a[2 * i])) | (uint16(uint8(a[2 * i + 1])) << 8));
            sum += x * y;
        }
    }

    function packed(bytes memory w, bytes memory a, uint256 n) private pure returns (int256) {
        uint256 p;
        uint256 q;
        assembly {
            p := add(w, 32)
            q := add(a, 32)
        }
        return Dot.packed(p, q, n);
    }

    function fill(uint256 n, bytes2 even, bytes2 odd) private pure returns (bytes memory b) {
        b = new bytes(n);
        for (uint256 i = 0; i < n; ++i) b[i] = (i >> 1) & 1 == 0 ? even[i & 1] : odd[i & 1];
    }

    function random(bytes32 seed, uint256 n) private pure returns (bytes memory b) {
        b = new bytes(n);
        for (uint256 i = 0; i < n; i += 32) {
            bytes32 h = keccak256(abi.encode(seed, i));
            assembly {
                mstore(add(add(b, 32), i), h)
            }
        }
    }

    /// Every pair of extremes, -128 included, over all 4096 terms; activations little-endian.
    function test_extremes() public pure {
        bytes1[5] memory w = [bytes1(0x80), 0x81, 0x7f, 0x00, 0xff];
        bytes2[5] memory a = [bytes2(0x0080), 0xff7f, 0x0000, 0xffff, 0x7f7f];
        for (uint256 i = 0; i < 5; ++i) {
            for (uint256 j = 0; j < 5; ++j) {
                bytes memory ws = fill(4096, bytes2(w[i]) | (bytes2(w[i]) >> 8), bytes2(w[i]) | (bytes2(w[j]) >> 8));
                bytes memory as_ = fill(8192, a[j], a[(i + j) % 5]);
                require(packed(ws, as_, 4096) == plain(ws, as_, 4096), "extreme");
                bytes memory wi = fill(4096, bytes2(w[i]) | (bytes2(w[i]) >> 8), bytes2(w[i]) | (bytes2(w[i]) >> 8));
                bytes memory aj = fill(8192, a[j], a[j]);
                require(packed(wi, aj, 4096) == plain(wi, aj, 4096), "constant");
            }
        }
    }

    /// One non-zero product at each place: no lane is lost or taken twice.
    function test_places() public pure {
        for (uint256 i = 0; i < 256; ++i) {
            bytes memory w = new bytes(256);
            bytes memory a = new bytes(512);
            w[i] = bytes1(uint8(i % 100 + 3));
            for (uint256 j = 0; j < 256; ++j) a[2 * j] = bytes1(uint8(j));
            require(packed(w, a, 256) == plain(w, a, 256), "place");
        }
    }

    function testFuzz_dot(bytes32 seed, uint8 blocks) public pure {
        uint256 n = 256 * (uint256(blocks) % 4 + 1);
        bytes memory w = random(seed, n);
        bytes memory a = random(keccak256(abi.encode(seed)), 2 * n);
        require(packed(w, a, n) == plain(w, a, n), "random");
    }

    /// forge-config: default.fuzz.runs = 200
    function testFuzz_dot4096(bytes32 seed) public pure {
        bytes memory w = random(seed, 4096);
        bytes memory a = random(keccak256(abi.encode(seed)), 8192);
        require(packed(w, a, 4096) == plain(w, a, 4096), "random");
    }

    function test_gas_4096() public view {
        bytes memory w = random("w", 4096);
        bytes memory a = random("a", 8192);
        uint256 before = gasleft();
        int256 x = packed(w, a, 4096);
        uint256 used = before - gasleft();
        require(x == plain(w, a, 4096), "value");
require(used < 160_000, "gas");
    }

    /// TREE-3, TREE-6: every range of every tree of up to 11 leaves, against the whole tree built level by level.
    function test_ranges() public view {
        for (uint256 n = 1; n <= 11; ++n) {
            for (uint256 a = 0; a < n; ++a) {
                for (uint256 b = a + 1; b <= n; ++b) {
                    (bytes32 want, bytes memory path) = whole(n, a, b);
                    require(this.top(path, n, a, b) == want, "range");
                }
            }
        }
    }

    function top(bytes calldata path, uint256 n, uint256 a, uint256 b) external view returns (bytes32 t) {
        bytes32[] memory hashes = new bytes32[](b - a);
        for (uint256 i = a; i < b; ++i) hashes[i - a] = sha256(abi.encode(i));
        uint256 cursor;
        assembly {
            cursor := path.offset
        }
        uint256 end;
        (t, end) = Tree.rangeTop(hashes, a, b, n, cursor);
        require(end == cursor + path.length, "length");
    }

    function whole(uint256 n, uint256 a, uint256 b) private pure returns (bytes32, bytes memory path) {
        uint256 size = 1;
        while (size < n) size *= 2;
        bytes32[] memory level = new bytes32[](size);
        for (uint256 i = 0; i < n; ++i) level[i] = sha256(abi.encode(i));
        for (; size > 1; size /= 2) {
            if (a % 2 == 1) path = bytes.concat(path, level[a - 1]);
            if (b % 2 == 1) path = bytes.concat(path, level[b]);
            for (uint256 i = 0; i < size / 2; ++i) {
                level[i] = sha256(bytes.concat("OTR.node", level[2 * i], level[2 * i + 1]));
            }
            (a, b) = (a / 2, (b + 1) / 2);
        }
        return (level[0], path);
    }

    /// TREE-2, 4 against hashes made with another implementation (measure.mjs builds whole openings with node's).
    function test_vectors() public view {
        bytes32 r = Tree.root(9, 7, 1, 4096, bytes32(uint256(1)));
        require(r == sha256(bytes.concat("OTR.root", hex"0900000007000000", hex"0100000000000000", hex"0010000000000000", bytes32(uint256(1)))));
        bytes memory scratch = new bytes(96);
        uint256 at;
        assembly {
            at := add(scratch, 32)
        }
        require(Tree.node("a", "b", at) == sha256(bytes.concat("OTR.node", bytes32("a"), bytes32("b"))));
    }
}
