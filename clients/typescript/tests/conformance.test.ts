// SPDX-License-Identifier: Apache-2.0
/** The cases that clients in all languages share, clients/conformance: no broker, no sockets. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

import { InvalidArgument, lifeOf, Malformed, Picture, type ProcessRecord } from "../src/index.js";
import * as names from "../src/names.js";
import type { BlockChange } from "../src/picture.js";
import { msAtBroker, packRequest, readEvent, readReply } from "../src/wire.js";
import { CONFORMANCE } from "./setup.js";

type Held = Map<string, ProcessRecord>;

interface Step {
    event?: [string, object];
    list?: object;
    lost?: true;
    topic?: string;
    agent?: boolean;
    malformed?: boolean;
    at: [string | null, number] | null;
    has?: string[];
}

interface Merge {
    records: Record<string, ProcessRecord>;
    cases: { name: string; steps: Step[] }[];
}

interface Names {
    block_ids: { allowed: string[]; refused: string[] };
    matches: { pattern: string; yes: string[]; no: string[] }[];
    prefix: Record<string, string>;
    delivers: { patterns: string[]; all?: boolean; scopes: string[]; with: string | null }[];
}

interface Hostile {
    name: string;
    frames: string[];
    deep?: number;
    ok?: boolean;
}

function load(name: string): unknown {
    return JSON.parse(readFileSync(join(CONFORMANCE, `${name}.json`), "utf8"));
}

describe("events and lists of a block, put together", () => {
    const shared = load("merge") as Merge;

    /** With the records in place of their names. */
    function filled(value: object): object {
        const text = JSON.stringify(value, (_, each: unknown) =>
            typeof each === "string" && each.startsWith("$") ? shared.records[each.slice(1)] : each,
        );
        return JSON.parse(text) as object;
    }

    function take(picture: Picture, step: Step): BlockChange[] {
        if (step.lost) {
            return picture.lost();
        }
        if (step.list && step.malformed) {
            assert.throws(() => picture.listed(filled(step.list ?? {})), Malformed);
            return [];
        }
        if (step.list) {
            return picture.listed(filled(step.list));
        }
        const [kind, data] = step.event ?? assert.fail("a step of no kind");
        const name = step.agent ?? true ? `agent:${kind}` : kind;
        const topic = step.topic ?? "block:b";
        const filledData = { block_id: "b", ...filled(data) };
        return picture.event({
            topic, name, scopes: [topic], sender: "", persist: 0, data: filledData,
        });
    }

    /** What somebody holds who lives on the changes; that no change makes nonsense of it. */
    function hold(held: Held, changes: readonly BlockChange[]): void {
        for (const change of changes) {
            if (change.type === "added") {
                assert.ok(!held.has(lifeOf(change.process)), "added twice");
                held.set(lifeOf(change.process), change.process);
            } else if (change.type === "changed") {
                assert.deepEqual(held.get(lifeOf(change.process)), change.before);
                held.set(lifeOf(change.process), change.process);
            } else if (change.type === "gone") {
                assert.ok(held.delete(lifeOf(change.process)), "gone, but was not there");
            }
        }
    }

    /** The same of blocks: added, then removed, in turns. */
    function holdBlock(exists: boolean, changes: readonly BlockChange[]): boolean {
        for (const { type } of changes) {
            if (type === "blockAdded" || type === "blockRemoved") {
                assert.equal(exists, type === "blockRemoved", type);
                exists = !exists;
            } else {
                assert.ok(exists, `${type} of no block`);
            }
        }
        return exists;
    }

    assert.ok(shared.cases.length > 10);
    for (const { name, steps } of shared.cases) {
        it(name, () => {
            const picture = new Picture("b");
            const held: Held = new Map();
            let exists = false;
            for (const [number, step] of steps.entries()) {
                const changes = take(picture, step);
                hold(held, changes);
                exists = holdBlock(exists, changes);
                const at = picture.whole ? [picture.epoch ?? null, picture.seq] : null;
                assert.deepEqual(at, step.at, `step ${number}`);
                if (at === null) {
                    continue;
                }
                assert.equal(exists, picture.epoch !== undefined, `the block at step ${number}`);
                const has = (step.has ?? []).map((each) => shared.records[each] as ProcessRecord);
                const expected = new Map(has.map((record) => [lifeOf(record), record]));
                assert.deepEqual(picture.processes, expected, `step ${number}`);
                assert.deepEqual(held, expected, `the changes of step ${number}`);
            }
        });
    }
});

describe("block ids and scopes", () => {
    const shared = load("names") as Names;

    it("takes the block ids that there are and no others", () => {
        for (const blockId of shared.block_ids.allowed) {
            assert.equal(names.blockScope(blockId), `block:${blockId}`);
        }
        for (const blockId of shared.block_ids.refused) {
            assert.throws(() => names.blockScope(blockId), InvalidArgument, blockId);
        }
    });

    it("matches patterns", () => {
        for (const { pattern, yes, no } of shared.matches) {
            yes.forEach((scope) => assert.ok(names.matches(pattern, scope), `${pattern} ${scope}`));
            no.forEach((scope) => assert.ok(!names.matches(pattern, scope), `${pattern} ${scope}`));
        }
    });

    it("lets all through by a prefix that matches", () => {
        for (const [pattern, prefix] of Object.entries(shared.prefix)) {
            assert.equal(names.prefix(pattern), prefix, pattern);
        }
        for (const { pattern, yes } of shared.matches) {
            yes.forEach((scope) => assert.ok(scope.startsWith(names.prefix(pattern)), pattern));
        }
    });

    it("delivers an event once", () => {
        for (const each of shared.delivers) {
            const { patterns, all = false, scopes } = each;
            const topics = scopes.length > 0 ? scopes : [""];
            const taken = topics.filter((topic) => names.delivers(patterns, all, topic, scopes));
            assert.deepEqual(taken, each.with === null ? [] : [each.with], JSON.stringify(each));
        }
    });

    it("refuses patterns that can match nothing", () => {
        for (const pattern of ["**:a", "a:**:b", "x".repeat(246), "é".repeat(123), "\ud800"]) {
            assert.throws(() => names.checkPattern(pattern), InvalidArgument, pattern);
        }
        names.checkPattern("x".repeat(245));
    });
});

describe("what comes is looked at before it is believed", () => {
    const shared = load("hostile") as { events: Hostile[]; replies: Hostile[] };

    function check(cases: readonly Hostile[], read: (frames: Buffer[]) => unknown): void {
        for (const { name, frames, deep, ok } of cases) {
            it(name, () => {
                const bodies =
                    deep === undefined
                        ? frames.map((frame) => Buffer.from(frame, "hex"))
                        : [Buffer.concat([Buffer.from("\x81\xa4data", "latin1"),
                                          Buffer.alloc(deep, 0x91)])];
                if (ok) {
                    read(bodies);
                } else {
                    assert.throws(() => read(bodies), Malformed);
                }
            });
        }
    }

    check(shared.events, readEvent);
    check(shared.replies, readReply);

    it("takes whatever noise comes, or says that it is malformed", () => {
        // It is a reply as well: a map with `data`.
        const whole = packRequest("x", { a: [1, -1, 0.5, "é", { b: null }], c: 2 ** 40 });
        for (let number = 0; number < 3000; number++) {
            const noise = Buffer.from(whole);
            for (let times = 0; times <= number % 3; times++) {
                noise[Math.floor(Math.random() * noise.length)] = Math.floor(Math.random() * 256);
            }
            try {
                readReply([noise]);
            } catch (error) {
                assert.ok(error instanceof Malformed, `${noise.toString("hex")}: ${String(error)}`);
            }
        }
    });
});

describe("what can never be answered well is not sent", () => {
    it("refuses what cannot be packed or is too long", () => {
        for (const value of [() => 1, 2n ** 64n, 2 ** 64, "\ud800", { "\ud800": 1 },
                             "x".repeat(64 * 1024)]) {
            assert.throws(() => packRequest("describe", { value }), InvalidArgument);
        }
        const circular: Record<string, unknown> = {};
        circular["itself"] = circular;
        assert.throws(() => packRequest("describe", circular), InvalidArgument);
    });

    it("gives a command that waits at the broker that time", () => {
        assert.equal(msAtBroker("wait_empty", { timeout_ms: 2500 }), 2500);
        assert.equal(msAtBroker("remove", {}), 10_000);
        assert.equal(msAtBroker("describe", {}), 0);
    });
});
