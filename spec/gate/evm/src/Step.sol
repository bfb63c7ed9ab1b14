// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Dot} from "./Dot.sol";
import {Tree} from "./Tree.sol";

/// Sketch of the referee's step for one element of a matmul tensor (OP-1, OP-2), refuted in one transaction.
/// Widths and tile sizes of micro-tensors are arguments here only to measure them against each other.
contract Step {
    struct Game {
        bytes32 batchRoot;
        bytes32 modelRoot;
        bytes32 microRoot;
        uint256 verdict;
    }

    struct Place {
        uint32 element; // n: the row of the weight matrix
        uint32 rows;
        uint32 cols;
        uint32 terms; // the step's block of k, from 0
        uint16 weightLeaf; // place of w.weight in the model's list; w.scale follows it
        uint16 modelLeaves;
        uint8 activationNumber; // place of the row in the micro-trace's list; its exponent stands before it
        uint8 outputNumber;
        uint8 microLeaves;
        uint8 activationBytes; // 2 or 8
        uint8 outputBytes; // 4 or 8
        uint16 microTile; // elements in a tile of a micro-tensor
        uint16 numbers; // how many exponents the model has
        uint16 claimIndex;
        uint8 outputBits; // F; PART: the element is a partial sum of OP-1, without scale and exponents
    }

    uint8 constant PART = 255;

    error NoFault();
    error OutOfRange();
    error TrailingBytes();

    mapping(uint256 => Game) public games;

    function open(uint256 id, Game calldata game) external {
        games[id] = game;
    }

    /// What one transaction opens; `cursor` is the place in the calldata that is read next.
    struct Opened {
        uint256 cursor;
        uint256 w;
        uint256 a;
        int256 m;
        int256 e;
        int256 f;
        int256 claimed;
        bytes32 top;
    }

    function prove(uint256 id, Place calldata p, bytes calldata blob) external returns (int256 right) {
        Game storage game = games[id];
        Opened memory o;
        uint256 cursor;
        assembly ("memory-safe") {
            cursor := blob.offset
        }
        o.cursor = cursor;
        claim(o, game.batchRoot, p.claimIndex);
        weights(o, game.modelRoot, p);
        if (p.outputBits != PART) exponent(o, game.modelRoot, p);
        row(o, game.microRoot, p);
        output(o, game.microRoot, p);
        if (o.cursor != cursor + blob.length) revert TrailingBytes();
        int256 shift = p.outputBits == PART ? int256(0) : o.e + o.f - int256(uint256(p.outputBits));
        right = Dot.packed(o.w, o.a, p.terms) * o.m;
        bool fault = shift < 0 || shift > 62;
        if (!fault) {
            if (shift > 0) right = (right + (int256(1) << uint256(shift - 1))) >> uint256(shift);
            fault = right != o.claimed;
        }
        if (!fault) revert NoFault();
        game.verdict = 1;
    }

    /// The claim's six words and its path of depth 12 under the batch root.
    function claim(Opened memory o, bytes32 batchRoot, uint256 index) private view {
        bytes32 h = Tree.leaf(o.cursor, 192, allocate(256));
        o.cursor += 192;
        if (top(o, Tree.one(h), index, 4096) != batchRoot) revert Tree.PathInvalid();
    }

    function weights(Opened memory o, bytes32 modelRoot, Place calldata p) private view {
        bytes32[] memory roots = new bytes32[](p.outputBits == PART ? 1 : 2);
        uint256 perRow = (uint256(p.cols) + 511) / 512;
        o.w = tiles(o, p.terms, 512, p.element * perRow, p.rows * perRow);
        roots[0] = Tree.root(2, 1, p.rows, p.cols, o.top);
        o.m = 1;
        if (p.outputBits != PART) {
            roots[1] = scale(o, p);
        }
        checkList(o, 3, roots, p.weightLeaf, p.modelLeaves, modelRoot);
    }

    function scale(Opened memory o, Place calldata p) private view returns (bytes32) {
        uint256 count = p.rows - p.element / 512 * 512;
        uint256 at = tiles(o, 2 * (count < 512 ? count : 512), 1024, p.element / 512, (uint256(p.rows) + 511) / 512);
        o.m = element(at, 2, p.element % 512, false);
        return Tree.root(2, 4, 1, p.rows, o.top);
    }

    /// The matrix's exponent: element weightLeaf of the model's list of numbers (leaf 0 of the model here).
    function exponent(Opened memory o, bytes32 modelRoot, Place calldata p) private view {
        o.e = element(tiles(o, 4, 4, p.weightLeaf, p.numbers), 4, 0, true);
        checkList(o, 3, Tree.one(Tree.root(2, 5, p.numbers, 1, o.top)), 0, p.modelLeaves, modelRoot);
    }

    function row(Opened memory o, bytes32 microRoot, Place calldata p) private view {
        uint256 last = p.outputBits == PART ? 0 : 1;
        bytes32[] memory roots = new bytes32[](last + 1);
        uint256 wide = p.activationBytes;
        if (last == 1) {
            o.f = element(tiles(o, wide, wide, 0, 1), wide, 0, true);
            roots[0] = Tree.root(9, wide == 8 ? 7 : 3, 1, 1, o.top);
        }
        o.a = tiles(o, p.terms * wide, p.microTile * wide, 0, (uint256(p.cols) + p.microTile - 1) / p.microTile);
        if (wide == 8) narrow(o.a, p.terms);
        roots[last] = Tree.root(9, wide == 8 ? 7 : 3, 1, p.cols, o.top);
        checkList(o, 10, roots, p.activationNumber - last, p.microLeaves, microRoot);
    }

    function output(Opened memory o, bytes32 microRoot, Place calldata p) private view {
        uint256 size = uint256(p.outputBytes) * p.microTile;
        uint256 n = (uint256(p.rows) + p.microTile - 1) / p.microTile;
        uint256 at = tiles(o, size, size, p.element / p.microTile, n);
        o.claimed = element(at, p.outputBytes, p.element % p.microTile, true);
        bytes32 r = Tree.root(9, p.outputBytes == 8 ? 7 : 5, 1, p.rows, o.top);
        checkList(o, 10, Tree.one(r), p.outputNumber, p.microLeaves, microRoot);
    }

    function top(Opened memory o, bytes32[] memory hashes, uint256 first, uint256 n) private view returns (bytes32 t) {
        (t, o.cursor) = Tree.rangeTop(hashes, first, first + hashes.length, n, o.cursor);
    }

    /// Hashes of a list (the model's tensors, the micro-trace's tensors) under the list's root.
    function checkList(Opened memory o, uint32 kind, bytes32[] memory hashes, uint256 first, uint64 n, bytes32 want)
        private
        view
    {
        if (Tree.root(kind, 0, n, 1, top(o, hashes, first, n)) != want) revert Tree.PathInvalid();
    }

    /// Opens `total` bytes in tiles of `size` bytes, the first of them tile `first` of `n`: copies them to memory at
    /// `at` and leaves the top of the tree in o.top.
    function tiles(Opened memory o, uint256 total, uint256 size, uint256 first, uint256 n)
        private
        view
        returns (uint256 at)
    {
        bytes32[] memory hashes = new bytes32[]((total + size - 1) / size);
        at = allocate(total + 72) + 8;
        // From the last tile to the first: each tag overwrites the 8 bytes before its tile, which are copied later.
        for (uint256 i = hashes.length; i > 0; --i) {
            uint256 from = (i - 1) * size;
            hashes[i - 1] = Tree.leaf(o.cursor + from, total - from < size ? total - from : size, at - 8 + from);
        }
        o.cursor += total;
        o.top = top(o, hashes, first, n);
    }

    /// Element i of little-endian elements of `width` bytes.
    function element(uint256 at, uint256 width, uint256 i, bool isSigned) private pure returns (int256 v) {
        uint256 x;
        assembly ("memory-safe") {
            x := mload(add(at, mul(i, width)))
        }
        x = Dot.reverse(x) & ((1 << (8 * width)) - 1);
        if (!isSigned) return int256(x);
        assembly ("memory-safe") {
            v := signextend(sub(width, 1), x)
        }
    }

    /// i64 elements to i16, in place; a value that does not fit is a malformed row.
    function narrow(uint256 at, uint256 n) private pure {
        bool bad;
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, n) { i := add(i, 1) } {
                let x := shr(192, mload(add(at, shl(3, i))))
                let lo := shr(48, x)
                // The six bytes above must repeat the sign bit, which is bit 7 of the second byte.
                let sign := mul(and(shr(7, lo), 1), 0xffffffffffff)
                bad := or(bad, xor(and(x, 0xffffffffffff), sign))
                mstore8(add(at, shl(1, i)), shr(8, lo))
                mstore8(add(add(at, shl(1, i)), 1), lo)
            }
        }
        if (bad) revert OutOfRange();
    }

    function allocate(uint256 size) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, and(add(add(at, size), 63), not(31)))
        }
    }
}
