// SPDX-License-Identifier: Apache-2.0
/**
 * Against a real broker and real processes: after whatever happens the mirror is what the registry
 * lists.
 */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import { type Change, lifeOf, type Mirror } from "../src/index.js";
import { assertEqual, commands, comparable, until } from "./following.js";
import { Broker, child, end } from "./setup.js";

/** A shell that does what it is told, in the block. */
async function shellIn(t: TestContext, broker: Broker): Promise<(line: string) => void> {
    const shell = await child(t, "sh");
    await broker.client(t).assignProcess("b", shell.pid);
    return (line) => shell.stdin?.write(`${line}\n`);
}

function typesOf(changes: readonly Change[]): string[] {
    return changes.map(({ type }) => type);
}

function has(mirror: Mirror, ...wanted: string[]): boolean {
    return wanted.every((command) => commands(mirror).includes(command));
}

describe("a mirror of one block", () => {
    it("is the list after each thing that happens", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const mirror = client.mirror("b");
        assert.equal(mirror.state, "starting");
        await until(mirror, "no block", () => true);
        await assertEqual(client, mirror);

        const { epoch, created } = await client.ensureTracker("b");
        assert.ok(created);
        const made = await until(mirror, "the block", () => mirror.block("b")?.epoch === epoch);
        assert.deepEqual(typesOf(made), ["blockAdded"]);
        assert.notEqual(mirror.block("b")?.tracker, "");
        await assertEqual(client, mirror);

        const say = await shellIn(t, broker);
        const added = await until(mirror, "the shell", () => mirror.processes.length === 1);
        assert.deepEqual(typesOf(added), ["added"]);
        await assertEqual(client, mirror);

        say("sleep 1001 & sleep 1002 &");
        await until(mirror, "children", () => has(mirror, "sleep 1001", "sleep 1002"));
        await assertEqual(client, mirror);
        const tree = mirror.block("b")?.tree() ?? [];
        assert.deepEqual(tree.map(({ process, depth }) => [process.command, depth]),
                         [["sh", 0], ["sleep 1001", 1], ["sleep 1002", 1]]);

        say("exec sleep 1003");
        const changed = await until(mirror, "exec", () => has(mirror, "sleep 1003"));
        const [exec] = changed.filter((change) => change.type === "changed");
        assert.ok(exec?.type === "changed" && exec.before.command === "sh");
        assert.ok(exec.what.includes("command"));
        assert.deepEqual(commands(mirror), ["sleep 1001", "sleep 1002", "sleep 1003"]);
        await assertEqual(client, mirror);

        const victim = mirror.processes.find(({ command }) => command === "sleep 1001");
        assert.ok((await client.killPid("b", victim?.pid ?? 0)).ok);
        const ended = await until(mirror, "one killed", () => mirror.processes.length === 2);
        const gone = ended.find((change) => change.type === "gone");
        assert.ok(gone?.type === "gone" && gone.gone.how === "exited");
        assert.equal(lifeOf(gone.process), lifeOf(victim ?? gone.process));
        await assertEqual(client, mirror);

        assert.deepEqual((await client.remove("b")).survivors, []);
        const removed = await until(mirror, "removed", () => mirror.block("b") === undefined);
        assert.equal(removed.at(-1)?.type, "blockRemoved");
        assert.ok(!typesOf(removed).includes("state"), "nothing was missed");
        await assertEqual(client, mirror);
        assert.equal(mirror.malformed, 0);
    });

    it("follows a broker that is killed and comes back, and who lives on stays", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        if ((await client.describe()).tracker !== "cgroup") {
            return t.skip("only cgroups outlive a broker");
        }
        const mirror = client.mirror("b", { timeoutMs: 1000 });
        const first = await client.ensureTracker("b", { on_crash: "keep" });
        const stays = await child(t, "sleep", "1001");
        const ends = await child(t, "sleep", "1002");
        await client.assignProcess("b", stays.pid);
        await client.assignProcess("b", ends.pid);
        await until(mirror, "both", () => has(mirror, "sleep 1001", "sleep 1002"));

        await broker.crash();
        await end(ends);
        await assert.rejects(client.describe({ timeoutMs: 200 }), { name: "NoReply" });
        await broker.serve();
        const changes = await until(mirror, "the block, adopted", () => {
            const epoch = mirror.block("b")?.epoch;
            return epoch !== undefined && epoch !== first.epoch && mirror.processes.length === 1;
        });
        assert.ok(changes.some((change) => change.type === "state" && change.state === "stale"));
        for (const change of changes) {
            if (change.type === "added" || change.type === "gone") {
                assert.notEqual(change.process.pid, stays.pid, `${change.type}, but it lived on`);
            }
        }
        await assertEqual(client, mirror);

        const late = await child(t, "sleep", "1003");
        await client.assignProcess("b", late.pid);
        await until(mirror, "a late one", () => has(mirror, "sleep 1003"));
        await assertEqual(client, mirror);
        await client.remove("b");
        await until(mirror, "removed", () => mirror.block("b") === undefined);
        await assertEqual(client, mirror);
    });

    it("says that it is stale while the broker hangs, and goes on when it does", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const mirror = client.mirror("b", { timeoutMs: 200, checkMs: 100 });
        await client.ensureTracker("b");
        await until(mirror, "the block", () => mirror.block("b") !== undefined);

        await broker.hang();
        await assert.rejects(client.describe({ timeoutMs: 200 }), { name: "NoReply" });
        for await (const change of mirror) {
            if (change.type === "state" && change.state === "stale") {
                assert.match(change.why, /no reply from ipc:.* in 0\.2 s/);
                break;
            }
        }
        assert.notEqual(mirror.block("b"), undefined, "it shows what it knew");
        broker.goOn();
        await until(mirror, "current again", () => true);
        await client.describe(); // over a fresh socket
        await client.assignProcess("b", (await child(t, "sleep", "1001")).pid);
        await until(mirror, "one more", () => has(mirror, "sleep 1001"));
        await assertEqual(client, mirror);
    });

    it("lists again where it fell behind and the broker dropped events", async (t) => {
        const broker = await Broker.start(t, "--subscriber-queue=1");
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const mirror = client.mirror("b", { eventsAhead: 1 });
        await client.ensureTracker("b");
        await until(mirror, "the block", () => mirror.block("b") !== undefined);

        const data = "x".repeat(50_000); // more than the buffers of the kernel hold
        for (let number = 0; number < 100; number++) {
            await client.publish({ event: "noise", scopes: ["block:b"], data });
        }
        await client.assignProcess("b", (await child(t, "sleep", "1001")).pid);
        const changes = await until(mirror, "it noticed", () => has(mirror, "sleep 1001"));
        assert.ok(changes.some(({ type, ...of }) => type === "state" &&
                               "state" in of && of.state === "repairing"), "nothing was dropped");
        await assertEqual(client, mirror);
    });

    it("is the list after a storm of births, read by somebody slow", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const mirror = client.mirror("b");
        await client.ensureTracker("b");
        const say = await shellIn(t, broker);
        await until(mirror, "the shell", () => has(mirror, "sh"));
        say("i=0; while [ $i -lt 300 ]; do /bin/true & i=$((i+1)); done; wait; sleep 1001 &");
        const held = new Map(mirror.processes.map((process) => [lifeOf(process), process]));
        const changes = await until(mirror, "the end", () => has(mirror, "sleep 1001"));
        for (const change of changes) {
            if (change.type === "added" || change.type === "changed") {
                held.set(lifeOf(change.process), change.process);
            } else if (change.type === "gone") {
                assert.ok(held.delete(lifeOf(change.process)));
            }
        }
        assert.deepEqual(comparable(held.values()), comparable(mirror.processes));
        await assertEqual(client, mirror);
    });

    it("waits for a broker that is not there yet, and ends where it is closed", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        await broker.crash();
        const client = broker.client(t);
        const mirror = client.mirror("b");
        const told = mirror.changes();
        const first = told.next();
        await broker.serve();
        const { value } = await first;
        assert.equal(value?.type, "state");
        await told.return();
        await until(mirror, "the broker", () => true);

        await assert.rejects(mirror.changes(AbortSignal.abort()).next(), { name: "AbortError" });
        const rest = mirror.changes();
        const last = rest.next();
        await assert.rejects(mirror.changes().next(), { name: "ProctrackError" }, "one at a time");
        client.close();
        assert.deepEqual(await last, { value: undefined, done: true });
        await assert.rejects(client.describe(), { name: "Closed" });
    });
});

describe("a mirror of all blocks", () => {
    it("follows blocks that were there, that come and that go", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const ids = Array.from({ length: 40 }, (_, number) => `b-${number}`);
        await Promise.all(ids.slice(0, 20).map((id) => client.ensureTracker(id)));
        await client.assignProcess("b-7", (await child(t, "sleep", "1001")).pid);
        const mirror = client.mirror();
        const there = await until(mirror, "those that were there", () => has(mirror, "sleep 1001"));
        assert.equal(typesOf(there).filter((type) => type === "blockAdded").length, 20);

        await Promise.all(ids.slice(20).map((id) => client.ensureTracker(id)));
        await client.assignProcess("b-33", (await child(t, "sleep", "1002")).pid);
        await until(mirror, "those that came", () => has(mirror, "sleep 1002"));
        assert.deepEqual(mirror.blocks.map(({ blockId }) => blockId).sort(), [...ids].sort());

        await Promise.all(ids.slice(0, 10).map((id) => client.remove(id)));
        const gone = await until(mirror, "those that went", () => mirror.blocks.length === 30);
        const removed = gone.filter((change) => change.type === "blockRemoved");
        assert.deepEqual(removed.map(({ block }) => block.blockId).sort(), ids.slice(0, 10).sort());
        assert.ok(!typesOf(gone).includes("state"), "nothing was missed");
        for (const blockId of ids) {
            await assertEqual(client, mirror, blockId);
        }
    });

    it("calls back until it is closed", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const sleeps = await child(t, "sleep", "1001");
        const mirror = client.mirror();
        const told: string[] = [];
        const runs = mirror.run({
            state: ({ state }) => void told.push(state),
            blockAdded: async ({ block }) => {
                told.push(block.blockId);
                await client.assignProcess("b", sleeps.pid);
            },
            added: ({ process }) => {
                told.push(process.command);
                mirror.close();
            },
        });
        await client.ensureTracker("b");
        await runs;
        assert.deepEqual([...told].sort(), ["b", "current", "sleep 1001"]);
        await assert.rejects(client.mirror().run({ state: () => assert.fail("no more") }), /no more/);
    });
});
