// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// SPEC chapter TREE over the SHA-256 precompile. A cursor is a calldata offset that moves over one opening after another.
library Tree {
    error PathInvalid();

    function sha(uint256 from, uint256 size) private view returns (bytes32 h) {
        assembly ("memory-safe") {
            if iszero(staticcall(gas(), 2, from, size, 0, 32)) { revert(0, 0) }
            if lt(returndatasize(), 32) { revert(0, 0) }
            h := mload(0)
        }
    }

    /// TREE-1. Copies the tile to `to` + 8 too; the 8 bytes before it are overwritten.
    function leaf(uint256 at, uint256 size, uint256 scratch) internal view returns (bytes32) {
        assembly ("memory-safe") {
            mstore(scratch, "OTR.leaf")
            calldatacopy(add(scratch, 8), at, size)
        }
        return sha(scratch, size + 8);
    }

    /// TREE-2
    function node(bytes32 a, bytes32 b, uint256 scratch) internal view returns (bytes32) {
        assembly ("memory-safe") {
            mstore(scratch, "OTR.node")
            mstore(add(scratch, 8), a)
            mstore(add(scratch, 40), b)
        }
        return sha(scratch, 72);
    }

    /// TREE-4
    function root(uint32 kind, uint32 type_, uint64 rows, uint64 cols, bytes32 top) internal view returns (bytes32) {
        return sha256(abi.encodePacked("OTR.root", le32(kind), le32(type_), le64(rows), le64(cols), top));
    }

    function le32(uint32 v) internal pure returns (uint32) {
        v = ((v & 0x00ff00ff) << 8) | ((v >> 8) & 0x00ff00ff);
        return (v << 16) | (v >> 16);
    }

    function le64(uint64 v) internal pure returns (uint64) {
        return (uint64(le32(uint32(v))) << 32) | le32(uint32(v >> 32));
    }

    /// TREE-6: the top of a tree of n leaves from the leaves [a, b), which `hashes` holds, and the siblings at `cursor`.
    function rangeTop(bytes32[] memory hashes, uint256 a, uint256 b, uint256 n, uint256 cursor)
        internal
        view
        returns (bytes32, uint256)
    {
        if (!(a < b && b <= n && hashes.length == b - a)) revert PathInvalid();
        uint256 scratch;
        assembly ("memory-safe") {
            scratch := mload(0x40)
            mstore(0x40, add(scratch, 96))
        }
        unchecked {
            uint256 size = 1;
            while (size < n) size <<= 1;
            for (; size > 1; size >>= 1) {
                uint256 to = 0;
                uint256 from = 0;
                uint256 count = b - a;
                if (a & 1 == 1) {
                    put(hashes, to++, node(word(cursor), get(hashes, from++), scratch));
                    cursor += 32;
                }
                for (; from + 1 < count; from += 2) {
                    put(hashes, to++, node(get(hashes, from), get(hashes, from + 1), scratch));
                }
                if (b & 1 == 1 && from < count) {
                    put(hashes, to++, node(get(hashes, from), word(cursor), scratch));
                    cursor += 32;
                }
                (a, b) = (a >> 1, (b + 1) >> 1);
            }
        }
        return (hashes[0], cursor);
    }

    /// Unchecked elements: rangeTop never leaves the list it was given.
    function get(bytes32[] memory list, uint256 i) private pure returns (bytes32 v) {
        assembly ("memory-safe") {
            v := mload(add(add(list, 32), shl(5, i)))
        }
    }

    function put(bytes32[] memory list, uint256 i, bytes32 v) private pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 32), shl(5, i)), v)
        }
    }

    function word(uint256 cursor) internal pure returns (bytes32 v) {
        assembly ("memory-safe") {
            v := calldataload(cursor)
        }
    }

    function one(bytes32 h) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = h;
    }
}
