// SPDX-License-Identifier: Apache-2.0
/** Reading a mirror until something is so, and holding it against the registry. */

import assert from "node:assert/strict";

import type { Change, Client, Mirror, ProcessRecord } from "../src/index.js";
import { DEADLINE_MS } from "./setup.js";

/** Of each process what a mirror keeps equal, in the order of the pids. */
export function comparable(processes: Iterable<ProcessRecord>): unknown[] {
    return [...processes]
        .sort((one, other) => one.pid - other.pid)
        .map(({ pid, started_at_ms, command, root, started, scope }) => ({
            pid, started_at_ms, command, root, started, scope,
        }));
}

export function commands(mirror: Mirror): string[] {
    return mirror.processes.map(({ command }) => command).sort();
}

/** Takes changes until that is so and the mirror is current; gives those. */
export async function until(
    mirror: Mirror,
    what: string,
    reached: (changes: readonly Change[]) => boolean,
): Promise<Change[]> {
    const taken: Change[] = [];
    const isThere = (): boolean => mirror.state === "current" && reached(taken);
    if (isThere()) {
        return taken;
    }
    try {
        for await (const change of mirror.changes(AbortSignal.timeout(DEADLINE_MS))) {
            taken.push(change);
            if (isThere()) {
                return taken;
            }
        }
    } catch (error) {
        const told = taken.map(({ type }) => type).join(" ");
        const held = JSON.stringify(comparable(mirror.processes));
        assert.fail(`${what}: ${String(error)}; ${mirror.state}, it holds ${held} after ${told}`);
    }
    return assert.fail(`${what}: it is closed`);
}

/** The mirror is the list, at one and the same number. */
export async function assertEqual(client: Client, mirror: Mirror, blockId = "b"): Promise<void> {
    const late = Date.now() + DEADLINE_MS;
    for (;;) {
        const listed = await client.listBlock(blockId);
        const has = (): { epoch: string | undefined; seq: number } =>
            mirror.block(blockId) ?? { epoch: undefined, seq: 0 };
        await until(mirror, `at ${listed.epoch} ${listed.seq}`, () =>
            has().epoch !== listed.epoch || has().seq >= (listed.seq ?? 0));
        if (has().epoch === listed.epoch && has().seq === (listed.seq ?? 0)) {
            const processes = mirror.block(blockId)?.processes.values() ?? [];
            assert.deepEqual(comparable(processes), comparable(listed.processes));
            assert.equal(mirror.block(blockId)?.confidence ?? "none", listed.confidence);
            return;
        }
        assert.ok(Date.now() < late, `it stays at ${JSON.stringify(has())}`);
        if (has().epoch !== listed.epoch) { // something is under way
            await until(mirror, "another change", (changes) => changes.length > 0);
        }
    }
}
