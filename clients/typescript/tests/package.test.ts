// SPDX-License-Identifier: Apache-2.0
/** What is kept in the tree agrees with what it was made from, and what the README shows works. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { promisify } from "node:util";

import { messages } from "../tools/messages.js";
import { Broker, child, end, SCHEMAS, SOURCES } from "./setup.js";

const PACKAGE = join(SOURCES, "clients", "typescript");

describe("the package", () => {
    it("has the types that the schemas give", async () => {
        const kept = readFileSync(join(PACKAGE, "src", "messages.ts"), "utf8");
        assert.equal(kept, await messages(SCHEMAS), "write them anew: npm run messages");
    });

    it("ships what was built of its sources, and nothing else", async () => {
        const told = await promisify(execFile)(
            "npm", ["pack", "--dry-run", "--json", "--ignore-scripts"],
        );
        const [packed] = JSON.parse(told.stdout) as [{ files: { path: string }[] }];
        const paths = packed.files.map(({ path }) => path);
        for (const wanted of ["dist/src/index.js", "dist/src/index.d.ts", "README.md"]) {
            assert.ok(paths.includes(wanted), wanted);
        }
        const others = paths.filter((path) => !/^(dist\/src\/.*|README\.md|package\.json)$/.test(path));
        assert.deepEqual(others, []);
    });

    it("names no registry in what it locks", () => {
        const lock = readFileSync(join(PACKAGE, "package-lock.json"), "utf8");
        assert.doesNotMatch(lock, /"resolved"/);
        assert.match(lock, /"integrity": "sha512-/);
    });
});

describe("the program of the README", () => {
    it("shows the block as it changes", async (t) => {
        const broker = await Broker.start(t);
        if (broker === undefined) {
            return;
        }
        const client = broker.client(t);
        await client.ensureTracker("demo");
        const program = join("dist", "examples", "readme.js"); // compiled with the package
        assert.ok(existsSync(program));
        process.env["WPS_RUNTIME_DIR"] = broker.runtime;
        const shown = await child(t, process.execPath, program, "demo");
        const lines = createInterface({ input: shown.stdout ?? assert.fail() })[
            Symbol.asyncIterator
        ]();
        const said: string[] = [];
        async function untilLine(pattern: RegExp): Promise<void> {
            for (let line; !(line = await lines.next()).done; ) {
                said.push(line.value);
                if (pattern.test(line.value)) {
                    return;
                }
            }
            assert.fail(`it ended without ${pattern}: ${said.join("\n")}`);
        }
        t.after(() => end(shown));
        const sleeps = await child(t, "sleep", "1001");
        await client.assignProcess("demo", sleeps.pid);
        await untilLine(new RegExp(`^ *${sleeps.pid} +sleep 1001$`));
        await client.remove("demo");
        await untilLine(/^demo is gone$/);
    });
});
