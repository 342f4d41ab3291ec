// SPDX-License-Identifier: Apache-2.0
/**
 * What goes over the sockets: requests packed, replies and events read. Nothing that comes is
 * believed before it was looked at.
 */

import { isUtf8 } from "node:buffer";

import { encode } from "@msgpack/msgpack";

import { InvalidArgument, Malformed, Refused } from "./errors.js";
import { unpack } from "./msgpack.js";
import { isWellFormed } from "./names.js";

const REQUEST_BYTES_MAX = 64 * 1024;
/** Commands that wait at the broker, and how long if the request does not say (ms). */
const WAITS = new Map([
    ["stop_tree", 10_000],
    ["remove", 10_000],
    ["wait_empty", 0],
]);

/** A map that came or goes. */
export type Fields = Readonly<Record<string, unknown>>;

/** One event as it came on one of its scopes, the topic. */
export interface Event {
    readonly topic: string;
    readonly name: string;
    readonly scopes: readonly string[];
    readonly sender: string;
    readonly persist: number;
    readonly data: unknown;
}

/** A request. Keys without a value are left out. */
export function packRequest(command: string, data: Fields): Buffer {
    let body: Uint8Array;
    try {
        const given = Object.entries(data).filter(([, value]) => value !== undefined);
        body = encode({ command, data: Object.fromEntries(given) }, { ignoreUndefined: true });
    } catch (error) {
        throw new InvalidArgument(`${command}: its data cannot be sent: ${String(error)}`, {
            cause: error,
        });
    }
    checkExact(command, data); // no deeper than the packer went
    if (body.length > REQUEST_BYTES_MAX) {
        throw new InvalidArgument(
            `${command}: a request of ${body.length} bytes: at most ${REQUEST_BYTES_MAX} are allowed`,
        );
    }
    return Buffer.from(body.buffer, body.byteOffset, body.length);
}

/** Refuses what the packer would send as something else. */
function checkExact(command: string, value: unknown): void {
    if (typeof value === "string" && !isWellFormed(value)) {
        throw new InvalidArgument(`${command}: ${JSON.stringify(value)} has no UTF-8`);
    }
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        throw new InvalidArgument(`${command}: ${String(value)} is no exact number any more`);
    }
    if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
        for (const [key, each] of Object.entries(value)) {
            checkExact(command, key);
            checkExact(command, each);
        }
    }
}

/** How long the broker may rightly take to answer, besides the time that any answer takes. */
export function msAtBroker(command: string, data: Fields): number {
    const preset = WAITS.get(command);
    if (preset === undefined) {
        return 0;
    }
    return isUint(data["timeout_ms"]) ? data["timeout_ms"] : preset;
}

/** The `data` of a reply. One that says no is thrown. */
export function readReply(frames: readonly Buffer[]): Fields {
    const [frame] = frames;
    if (frame === undefined || frames.length !== 1) {
        throw new Malformed(`a reply of ${frames.length} frames`);
    }
    const body = readMap(frame, "reply");
    if ("error" in body) {
        const { error, errorcode } = body;
        if (typeof error !== "string" || typeof errorcode !== "string") {
            throw new Malformed("a reply whose error or errorcode is no text");
        }
        throw new Refused(errorcode, error);
    }
    if (!isMap(body["data"])) {
        throw new Malformed("a reply without data");
    }
    return body["data"];
}

/** An event: its topic and its body. */
export function readEvent(frames: readonly Buffer[]): Event {
    const [head, body] = frames;
    if (head === undefined || body === undefined || frames.length !== 2) {
        throw new Malformed(`an event of ${frames.length} frames`);
    }
    if (!isUtf8(head)) {
        throw new Malformed("a topic that is no UTF-8");
    }
    const topic = head.toString();
    const { event: name, scopes = [], sender = "", persist = 0, data } = readMap(body, "event");
    if (typeof name !== "string" || name === "") {
        throw new Malformed("an event without a name");
    }
    if (!isTexts(scopes)) {
        throw new Malformed(`${name}: its scopes are no texts`);
    }
    if (!(scopes.length > 0 ? scopes.includes(topic) : topic === "")) {
        throw new Malformed(`${name}: its topic ${JSON.stringify(topic)} is none of its scopes`);
    }
    if (typeof sender !== "string" || !isUint(persist)) {
        throw new Malformed(`${name}: its sender is no text or its persist no number`);
    }
    return { topic, name, scopes, sender, persist, data };
}

/** A number of the protocol that can be compared. */
export function isUint(value: unknown, least = 0): value is number {
    return Number.isSafeInteger(value) && (value as number) >= least;
}

export function isMap(value: unknown): value is Fields {
    return typeof value === "object" && value !== null && value.constructor === Object;
}

function isTexts(value: unknown): value is string[] {
    return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function readMap(body: Buffer, what: string): Fields {
    const value = unpack(body, what);
    if (!isMap(value)) {
        throw new Malformed(`${what}: no map`);
    }
    return value;
}
