// SPDX-License-Identifier: Apache-2.0
/**
 * msgpack that comes from others. The library that decodes it believes lengths before it sees the
 * bytes, and takes what is no UTF-8 for text; so each body is walked through before it is decoded.
 */

import { isUtf8 } from "node:buffer";

import { decode } from "@msgpack/msgpack";

import { Malformed } from "./errors.js";

/** Bytes behind the first one, of what has a fixed length. */
const FIXED = new Map<number, number>([
    [0xc0, 0], [0xc2, 0], [0xc3, 0], // nil, false, true
    [0xca, 4], [0xcb, 8], // floats
    [0xcc, 1], [0xcd, 2], [0xce, 4], [0xcf, 8], // unsigned
    [0xd0, 1], [0xd1, 2], [0xd2, 4], [0xd3, 8], // signed
    [0xd4, 2], [0xd5, 3], [0xd6, 5], [0xd7, 9], [0xd8, 17], // extensions, and their type
]);

type Kind = "text" | "bytes" | "extension" | "list" | "map";

/** What says how much of it there is: bytes of that number, and what is counted. */
const COUNTED = new Map<number, readonly [width: number, kind: Kind]>([
    [0xc4, [1, "bytes"]], [0xc5, [2, "bytes"]], [0xc6, [4, "bytes"]],
    [0xc7, [1, "extension"]], [0xc8, [2, "extension"]], [0xc9, [4, "extension"]],
    [0xd9, [1, "text"]], [0xda, [2, "text"]], [0xdb, [4, "text"]],
    [0xdc, [2, "list"]], [0xdd, [4, "list"]],
    [0xde, [2, "map"]], [0xdf, [4, "map"]],
]);

/** The one value that `body` is. `what` it is stands in the sentence of the error. */
export function unpack(body: Buffer, what: string): unknown {
    new Walk(body, what).through();
    try {
        return decode(body);
    } catch (error) {
        throw new Malformed(`${what}: not msgpack: ${String(error)}`, { cause: error });
    }
}

/**
 * From value to value, without taking any. `wanted` are those that still have to come: each has one
 * byte at least, so there are never more of them than bytes, whatever a length says.
 */
class Walk {
    private at = 0;
    private wanted = 1;

    constructor(
        private readonly body: Buffer,
        private readonly what: string,
    ) {}

    through(): void {
        while (this.wanted > 0) {
            this.wanted--;
            this.step(this.uint(1));
            if (this.wanted > this.body.length - this.at) {
                this.fail("it ends in its middle");
            }
        }
        if (this.at !== this.body.length) {
            this.fail("bytes behind its end");
        }
    }

    private step(first: number): void {
        if (first <= 0x7f || first >= 0xe0) {
            return; // a small number
        }
        if (first <= 0xbf) {
            const isText = first >= 0xa0;
            this.counted(
                isText ? "text" : first >= 0x90 ? "list" : "map",
                first & (isText ? 0x1f : 0x0f),
            );
            return;
        }
        const [width, kind] = COUNTED.get(first) ?? [];
        if (width !== undefined && kind !== undefined) {
            this.counted(kind, this.uint(width));
            return;
        }
        this.skip(FIXED.get(first) ?? this.fail("a byte that msgpack does not use"));
    }

    private counted(kind: Kind, count: number): void {
        if (kind === "list" || kind === "map") {
            this.wanted += kind === "map" ? 2 * count : count;
            return;
        }
        const start = this.skip(kind === "extension" ? count + 1 : count);
        if (kind === "text" && !isUtf8(this.body.subarray(start, this.at))) {
            this.fail("a text that is no UTF-8");
        }
    }

    private uint(width: number): number {
        return this.body.readUIntBE(this.skip(width), width);
    }

    /** Where that many bytes begin. */
    private skip(count: number): number {
        if (count > this.body.length - this.at) {
            this.fail("it ends in its middle");
        }
        const start = this.at;
        this.at += count;
        return start;
    }

    private fail(why: string): never {
        throw new Malformed(`${this.what}: not msgpack: ${why}`);
    }
}
