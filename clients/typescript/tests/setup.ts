// SPDX-License-Identifier: Apache-2.0
/** Where things are, how long anything may take, and a broker for a test. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync,
         rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "node:test";

import { Client, NoReply } from "../src/index.js";

export const SOURCES = fromEnvironment("PROCTRACK_SOURCES");
export const CONFORMANCE = join(SOURCES, "clients", "conformance");
export const SCHEMAS = join(SOURCES, "schemas");
/** Nothing that is expected may take longer. */
export const DEADLINE_MS = 20_000;

function fromEnvironment(name: string): string {
    return process.env[name] ?? fail(`${name} is not set: run it by ctest -R clients.typescript`);
}

function fail(why: string): never {
    throw new Error(why);
}

export type Child = ChildProcess & { readonly pid: number };

/** A process that ends with this one, and with the test at the latest. */
export async function child(t: TestContext, ...command: string[]): Promise<Child> {
    const process = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...command], {
        stdio: ["pipe", "pipe", "inherit"],
    });
    t.after(() => end(process));
    await until(`${command[0]} does not run`, () => runs(process.pid, command));
    return process as Child;
}

/** Whether it is that program already. */
function runs(pid: number | undefined, command: readonly string[]): boolean {
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return argv.join(" ") === command.join(" ");
}

/** Kills it, and waits until it is reaped. Its pipes are closed: others may hold the other ends. */
export async function end(process: ChildProcess): Promise<void> {
    if (isRunning(process)) {
        const exited = once(process, "exit");
        process.kill("SIGKILL");
        await exited;
    }
    process.stdin?.destroy();
    process.stdout?.destroy();
}

function isRunning(process: ChildProcess): boolean {
    return process.exitCode === null && process.signalCode === null;
}

/** Waits for what only looking can tell. */
export async function until<T>(what: string, look: () => T | Promise<T>): Promise<NonNullable<T>> {
    for (const late = Date.now() + DEADLINE_MS; Date.now() < late; await sleep(5)) {
        const seen = await look();
        if (seen) {
            return seen as NonNullable<T>;
        }
    }
    return fail(`${what}: not in ${DEADLINE_MS} ms`);
}

/** A cgroup below our own, where that is allowed: what is left in it is the broker's. */
function makeCgroup(name: string): string | undefined {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const mount = mounts.find((line) => line.includes(" - cgroup2 "))?.split(" ")[4];
    const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
    if (mount === undefined || own === undefined) {
        return undefined;
    }
    const path = join(mount, own, name);
    try {
        mkdirSync(path);
        return path;
    } catch {
        return undefined;
    }
}

function directoriesBelow(path: string): string[] {
    const below = readdirSync(path, { withFileTypes: true }).filter((each) => each.isDirectory());
    return below.flatMap(({ name }) => [...directoriesBelow(join(path, name)), join(path, name)]);
}

async function removeCgroup(root: string): Promise<void> {
    writeFileSync(join(root, "cgroup.kill"), "1");
    for (const path of [...directoriesBelow(root), root]) {
        await until(`${path} is still busy`, () => {
            try {
                rmdirSync(path);
            } catch {
                // for as long as its last process takes to end
            }
            return !existsSync(path);
        });
    }
}

let brokers = 0;

/** A wpsd with the module in it. */
export class Broker {
    readonly runtime = mkdtempSync(join(tmpdir(), "proctrack-ts-"));
    private readonly cgroup = makeCgroup(`proctrack-ts-${process.pid}-${++brokers}`);
    private readonly logFile = join(this.runtime, "test.log");
    private process: ChildProcess | undefined;

    private constructor(private readonly wpsd: readonly string[]) {}

    /** It serves; it is gone after the test, with all that it started. Undefined where nothing can
     * be tracked: the test is skipped. */
    static async start(t: TestContext, ...wpsd: string[]): Promise<Broker | undefined> {
        const broker = new Broker(wpsd);
        t.after(() => broker.destroy());
        await broker.serve();
        const client = broker.client(t);
        if ((await client.describe()).tracker === "none") {
            t.skip("nothing is tracked here");
            return undefined;
        }
        return broker;
    }

    client(t: TestContext, timeoutMs = DEADLINE_MS): Client {
        const client = new Client({ directory: this.runtime, timeoutMs });
        t.after(() => client.close());
        return client;
    }

    async serve(): Promise<void> {
        const root = this.cgroup === undefined ? [] : [`cgroup-root=${this.cgroup}`];
        const plugin = [fromEnvironment("PROCTRACK_SO"), "poll-ms=50", ...root].join(",");
        const log = openSync(this.logFile, "a");
        const wpsd = [fromEnvironment("PROCTRACK_WPSD"), ...this.wpsd, "--plugin", plugin];
        this.process = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...wpsd], {
            stdio: ["ignore", log, log],
            env: { ...process.env, WPS_RUNTIME_DIR: this.runtime },
        });
        closeSync(log);
        const client = new Client({ directory: this.runtime, timeoutMs: 500 });
        try {
            await until(`wpsd does not serve: ${this.log()}`, () => this.serves(client));
        } finally {
            client.close();
        }
    }

    /** Stops it, with all its threads: who was on a processor answers for a moment more. */
    async hang(): Promise<void> {
        this.process?.kill("SIGSTOP");
        const threads = `/proc/${this.process?.pid}/task`;
        const isStopped = (thread: string): boolean =>
            /\) T [^)]*$/.test(readFileSync(join(threads, thread, "stat"), "utf8"));
        await until("wpsd does not stop", () => readdirSync(threads).every(isStopped));
    }

    goOn(): void {
        this.process?.kill("SIGCONT");
    }

    /** Kills it with -9: it has no time to do anything. */
    async crash(): Promise<void> {
        await end(this.process ?? fail("no broker"));
    }

    log(): string {
        return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8").slice(-4000) : "";
    }

    private async serves(client: Client): Promise<boolean> {
        if (this.process?.exitCode !== null) {
            fail(`wpsd ended with ${this.process?.exitCode}: ${this.log()}`);
        }
        try {
            await client.describe();
            return true;
        } catch (error) {
            if (error instanceof NoReply) {
                return false;
            }
            throw error;
        }
    }

    /** So it ends what is in its blocks, where there is no cgroup to do that by. */
    private async endInOrder(process: ChildProcess): Promise<void> {
        process.kill("SIGCONT");
        process.kill("SIGTERM");
        await until(`wpsd does not end on SIGTERM: ${this.log()}`, () => !isRunning(process));
    }

    private async destroy(): Promise<void> {
        if (this.process !== undefined) {
            await this.endInOrder(this.process).finally(() => this.crash());
        }
        if (this.cgroup !== undefined && existsSync(this.cgroup)) {
            await removeCgroup(this.cgroup);
        }
        rmSync(this.runtime, { recursive: true, force: true });
    }
}
