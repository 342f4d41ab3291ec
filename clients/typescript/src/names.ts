// SPDX-License-Identifier: Apache-2.0
/** Block ids and scopes: which there are, and which of them a subscription wants. */

import { InvalidArgument } from "./errors.js";

const SCOPE_BYTES_MAX = 245;
const BLOCK_ID = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Whether a text can be sent as UTF-8. (`isWellFormed` is of Node 20.) */
export function isWellFormed(text: string): boolean {
    return !LONE_SURROGATE.test(text);
}

/** The scope that the events of a block are published on. */
export function blockScope(blockId: string): string {
    if (!BLOCK_ID.test(blockId)) {
        throw new InvalidArgument(
            `${JSON.stringify(blockId)} is no block id: 1 to 128 of A-Z a-z 0-9 . _ -, ` +
                "the first of them no . and no -",
        );
    }
    return `block:${blockId}`;
}

/** A scope to subscribe to; `*` in it is any one part, and `**`, as the last part, all the rest. */
export function checkPattern(pattern: string): void {
    const shown = JSON.stringify(pattern);
    if (!isWellFormed(pattern)) {
        throw new InvalidArgument(`the scope ${shown} has no UTF-8`);
    }
    const size = Buffer.byteLength(pattern);
    if (size > SCOPE_BYTES_MAX) {
        throw new InvalidArgument(
            `a scope of ${size} bytes: at most ${SCOPE_BYTES_MAX} can be sent`,
        );
    }
    if (pattern.split(":").slice(0, -1).includes("**")) {
        throw new InvalidArgument(`the scope ${shown} has its ** not at the end`);
    }
}

/** Whether `scope` is the pattern, or one that its stars stand for. Empty parts are parts. */
export function matches(pattern: string, scope: string): boolean {
    const wanted = pattern.split(":");
    let given = scope.split(":");
    if (wanted.at(-1) === "**") {
        wanted.pop();
        given = given.slice(0, wanted.length);
    }
    if (wanted.includes("**") || wanted.length !== given.length) {
        return false;
    }
    return wanted.every((want, number) => want === "*" || want === given[number]);
}

/** The longest beginning of all that matches: what a SUB socket can be told. */
export function prefix(pattern: string): string {
    const parts = pattern.split(":");
    const star = parts.findIndex((part) => part === "*" || part === "**");
    if (star < 0) {
        return pattern;
    }
    const before = parts.slice(0, star).join(":");
    // `a:**` is `a` too, but `a:*` is not.
    return parts[star] === "**" || star === 0 ? before : `${before}:`;
}

/**
 * Whether this message is the one to deliver. An event comes once for each of its scopes: it is
 * taken with the first of them that is wanted. One without scopes is for those who want all.
 */
export function delivers(
    patterns: Iterable<string>,
    wantsAll: boolean,
    topic: string,
    scopes: readonly string[],
): boolean {
    if (scopes.length === 0) {
        return wantsAll && topic === "";
    }
    const wanted = [...patterns];
    const first = scopes.find((scope) => wantsAll || wanted.some((each) => matches(each, scope)));
    return first === topic;
}
