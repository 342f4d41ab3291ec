// SPDX-License-Identifier: Apache-2.0
/** Asking and subscribing, at a real broker, and at what only pretends to be one. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import { Publisher, Reply, Router } from "zeromq";

import { Client, type Event, Refused, type Subscriber } from "../src/index.js";
import { packRequest } from "../src/wire.js";
import { assertEqual, until as untilMirror } from "./following.js";
import { Broker, DEADLINE_MS } from "./setup.js";

async function next(subscriber: Subscriber): Promise<Event> {
    const event = await subscriber.next(AbortSignal.timeout(DEADLINE_MS));
    return event ?? assert.fail("it is closed");
}

describe("asking", () => {
    it("throws a refusal with its code and a sentence", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        await assert.rejects(broker.client(t).waitEmpty("nobody", 0), (error: unknown) => {
            assert.ok(error instanceof Refused);
            assert.equal(error.errorcode, "no_such_block");
            return error.message.length > 20;
        });
    });

    it("gives each of many requests its own reply", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const ids = Array.from({ length: 20 }, (_, number) => `b-${number}`);
        const made = await Promise.all(ids.map((id) => client.ensureTracker(id)));
        const listed = await client.listAllBlocks();
        assert.deepEqual([...listed.block_ids].sort(), [...ids].sort());
        const epochs = new Map(listed.blocks.map(({ block_id, epoch }) => [block_id, epoch]));
        assert.deepEqual(ids.map((id) => epochs.get(id)), made.map(({ epoch }) => epoch));
        await assert.rejects(client.ask("control", "dance"), { errorcode: "unknown_command" });
    });

    it("gives up in time, asks again where it is told to, and ends by a signal", async (t) => {
        const server = new Router({ linger: 0 });
        t.after(() => server.close());
        const control = `ipc://@proctrack-ts-${process.pid}`; // in no directory
        await server.bind(control);
        const client = new Client({ endpoints: { control }, timeoutMs: 100 });
        t.after(() => client.close());

        await assert.rejects(client.describe(), { name: "NoReply" });
        const [unanswered] = await server.receive();
        const twice = client.ask("control", "stats", {}, { retries: 1, timeoutMs: 500 });
        const [first] = await server.receive();
        const [second] = await server.receive();
        const sockets = [unanswered, first, second].map((each) => each?.toString("hex"));
        assert.equal(new Set(sockets).size, 3, "each over a fresh one");
        await server.send([first ?? "", "", packRequest("x", { number: 1 })]); // too late
        await server.send([second ?? "", "", packRequest("x", { number: 2 })]);
        assert.deepEqual(await twice, { number: 2 });

        const abort = new AbortController();
        const asked = client.stats({ signal: abort.signal, timeoutMs: DEADLINE_MS });
        abort.abort();
        await assert.rejects(asked, { name: "AbortError" });
        await assert.rejects(client.stats({ signal: AbortSignal.abort() }), { name: "AbortError" });
    });

    it("calls what is no reply malformed, and goes on", async (t) => {
        const server = new Reply({ linger: 0 });
        t.after(() => server.close());
        const control = `ipc://@proctrack-ts-junk-${process.pid}`;
        await server.bind(control);
        const client = new Client({ endpoints: { control }, timeoutMs: DEADLINE_MS });
        t.after(() => client.close());
        for (const junk of [["\xc1"], [""], ["\x80", "\x80"], [Buffer.from([0xdd, 255, 255])]]) {
            const asked = client.describe();
            await server.receive();
            await server.send(junk.map((each) => Buffer.from(each as string, "latin1")));
            await assert.rejects(asked, { name: "Malformed" });
        }
        const asked = client.stats();
        await server.receive();
        await server.send(packRequest("x", { counters: {}, gauges: {} }));
        assert.deepEqual(await asked, { counters: {}, gauges: {} });
    });
});

describe("subscribing", () => {
    it("gives each event once, by the first of its scopes that matches", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const some = client.subscriber("x:*", "x:1");
        const exact = client.subscriber("x:1");
        const all = client.subscriber();
        all.subscribeAll();
        await Promise.all([some.inForce(), exact.inForce()]);
        await all.inForce();
        await client.publish({ event: "first", scopes: ["x:1", "x:2"] });
        await client.publish({ event: "other", scopes: ["x:1:more", "y"] });
        await client.publish({ event: "free", data: { of: "none" } });
        await client.publish({ event: "last", scopes: ["x:2", "x:1"], data: { of: "all" } });

        const got = [await next(some), await next(some)];
        assert.deepEqual(got.map(({ name, topic }) => [name, topic]),
                         [["first", "x:1"], ["last", "x:2"]]);
        assert.deepEqual(got[1]?.data, { of: "all" });
        assert.equal((await next(exact)).topic, "x:1");
        assert.equal((await next(exact)).topic, "x:1");
        const names: string[] = [];
        for await (const { name } of all.events(AbortSignal.timeout(DEADLINE_MS))) {
            if (name === "last") {
                break;
            }
            names.push(...(name === "sync" ? [] : [name]));
        }
        assert.deepEqual(names, ["first", "other", "free"]);

        exact.unsubscribe("x:1");
        exact.subscribe("y");
        await exact.inForce();
        await client.publish({ event: "nobody's", scopes: ["x:1"] });
        await client.publish({ event: "ours", scopes: ["y"] });
        assert.equal((await next(exact)).name, "ours");
        exact.close();
        assert.equal(await exact.next(), undefined);
    });

    it("is in force again after the broker was killed", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        const subscriber = client.subscriber("x");
        await subscriber.inForce();
        await broker.crash();
        await broker.serve();
        await subscriber.inForce();
        assert.equal(subscriber.losses, 1);
        await client.publish({ event: "after", scopes: ["x"] });
        assert.equal((await next(subscriber)).name, "after");
    });

    it("passes over and counts what is no event", async (t) => {
        const server = new Publisher({ linger: 0 });
        t.after(() => server.close());
        const events = `ipc://@proctrack-ts-events-${process.pid}`;
        await server.bind(events);
        const client = new Client({ endpoints: { events } });
        t.after(() => client.close());
        const subscriber = client.subscriber("x");
        const junk = [["x"], ["x", ""], ["x", "\xc1"], ["x", "a", "b"], ["x", "\xdd\xff\xff\xff\xff"]];
        const event = Buffer.from("82a56576656e74a166a673636f70657391a178", "hex");
        const sends = setInterval(() => {
            junk.forEach((each) => void server.send(each.map((part) => Buffer.from(part, "latin1"))));
            void server.send(["x", event]);
        }, 5);
        t.after(() => clearInterval(sends));
        assert.equal((await next(subscriber)).name, "f");
        assert.equal((await next(subscriber)).name, "f");
        assert.ok(subscriber.malformed >= junk.length);
    });
});

describe("junk on the sockets of the broker", () => {
    /** Everything that takes bytes gets some that are none of the protocol. */
    async function throwJunk(t: TestContext, broker: Broker): Promise<void> {
        const publisher = new Publisher({ linger: 1000 });
        t.after(() => publisher.close());
        publisher.connect(broker.client(t).endpoint("publish"));
        for (const service of ["control", "rpc"]) {
            const asked = broker.client(t).ask(service, "\u0000", { block_id: 7, data: [[[[]]]] });
            await assert.rejects(asked, { name: "Refused" });
        }
        for (let number = 0; number < 200; number++) {
            await publisher.send(["block:b", Buffer.alloc(number, number)]);
            await publisher.send(["sync:", "\xff", ""]);
        }
    }

    it("does not disturb a mirror", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        await client.ensureTracker("b");
        const mirror = client.mirror("b");
        await untilMirror(mirror, "the block", () => mirror.block("b") !== undefined);
        await throwJunk(t, broker);
        await client.publish({ event: "agent-like", scopes: ["block:b"], data: { block_id: "b" } });
        await client.ensureTracker("b", { scope: "bg" });
        await assertEqual(client, mirror);
        assert.equal(mirror.state, "current");
        assert.equal(mirror.malformed, 0, "the broker lets none of it through");
    });
});
