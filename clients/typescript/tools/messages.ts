// SPDX-License-Identifier: Apache-2.0
/** Makes src/messages.ts, the types of all messages, out of schemas/*.schema.json. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { compile, type JSONSchema } from "json-schema-to-typescript";

type Schema = Record<string, unknown>;

const HEAD = `// SPDX-License-Identifier: Apache-2.0
/**
 * The messages, as the JSON Schemas have them. Made by \`npm run messages\`: change schemas/ and run
 * that. Readers ignore keys that they do not know.
 */
`;
const SUFFIX = ".schema.json";
/** What says more than a type can. */
const UNTYPED = ["$schema", "not", "if", "then", "dependentRequired", "maxItems"];

/** These would hide what every program knows by the name. */
const ENVELOPES = ["error", "event", "reply", "request"];

/** `control.list_block.reply` is ControlListBlockReply, `event` EventBody. */
function typeName(name: string): string {
    return (ENVELOPES.includes(name) ? `${name}.body` : name)
        .split(/[._-]/)
        .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
        .join("");
}

/** `definitions.schema.json#/$defs/pid` is Pid, `survivor.schema.json` Survivor. */
function refersTo(reference: string): string {
    const [file = "", inner] = reference.split("#/$defs/");
    return `#/$defs/${typeName(inner ?? file.replace(SUFFIX, ""))}`;
}

/** What a schema demands of the keys that it has from another. */
function narrowed(schema: Schema): Schema {
    const properties = schema["properties"] as Schema;
    const required = (schema["required"] ?? []) as string[];
    const more = required.filter((key) => !(key in properties));
    const references = more.map((key) => [key, { $ref: refersTo(`#/$defs/${key}`) }]);
    return { ...schema, properties: { ...(Object.fromEntries(references) as Schema), ...properties } };
}

/** In words that the library knows: there a reference has nothing beside it. */
function translated(value: unknown): unknown {
    if (Array.isArray(value)) {
        return value.map(translated);
    }
    if (typeof value !== "object" || value === null) {
        return value;
    }
    const entries = Object.entries(value).filter(([key]) => !UNTYPED.includes(key));
    const schema: Schema = Object.fromEntries(
        entries.map(([key, each]) => [key, translated(each)]),
    );
    const { $ref, ...rest } = schema;
    if (typeof $ref !== "string") {
        return schema;
    }
    const reference = { $ref: refersTo($ref) };
    if ("properties" in rest) {
        return { ...narrowed(rest), extends: reference };
    }
    return "description" in rest || "title" in rest ? { ...rest, allOf: [reference] } : reference;
}

async function definitions(directory: string): Promise<Record<string, Schema>> {
    const names = (await readdir(directory)).filter((name) => name.endsWith(SUFFIX)).sort();
    const found: Record<string, Schema> = {};
    for (const name of names) {
        const read = JSON.parse(await readFile(join(directory, name), "utf8")) as Schema;
        if (name === `definitions${SUFFIX}`) {
            for (const [key, each] of Object.entries(read["$defs"] as Schema)) {
                found[typeName(key)] = translated(each) as Schema;
            }
        } else {
            const { title, ...rest } = translated(read) as Schema;
            found[typeName(name.replace(SUFFIX, ""))] = { description: title, ...rest };
        }
    }
    return found;
}

/** The commands of a socket, and the data of each request and reply. */
function commandsOf(service: string, names: readonly string[]): string {
    const rows = names.map((name) => {
        const type = typeName(`${service}.${name}`);
        return `    ${name}: { request: ${type}Request; reply: ${type}Reply };`;
    });
    return `    ${service}: {\n${rows.map((row) => `    ${row}`).join("\n")}\n    };`;
}

async function tables(directory: string): Promise<string> {
    const files = (await readdir(directory)).sort();
    const named = (pattern: RegExp): string[] =>
        files.flatMap((file) => pattern.exec(file)?.[1] ?? []);
    const events = named(/^agent\.(.*)\.schema\.json$/).map(
        (name) => `    "agent:${name}": Agent${typeName(name)};`,
    );
    const services = ["control", "rpc"].map((service) =>
        commandsOf(service, named(new RegExp(`^${service}\\.(.*)\\.request\\.schema\\.json$`))),
    );
    return `
/** What each event of a block holds. */
export interface BlockEvents {
${events.join("\n")}
}

/** What can be asked, where. */
export interface Commands {
${services.join("\n")}
}
`;
}

/** The text of src/messages.ts. */
export async function messages(directory: string): Promise<string> {
    const $defs = await definitions(directory);
    const root = { title: "Root", type: "object", $defs } as unknown as JSONSchema;
    const types = await compile(root, "Root", {
        additionalProperties: false,
        bannerComment: HEAD,
        unreachableDefinitions: true,
        ignoreMinAndMaxItems: true,
        style: { tabWidth: 4, printWidth: 100 },
    });
    const plain = types
        .replace(/( \*\n)? \* This interface was referenced by `Root`'s JSON-Schema\n \* via .*\n/g, "")
        .replace("\nexport interface Root {}", "")
        .replace(/\/\*\*\n \*\/\n/g, "");
    return plain + (await tables(directory));
}
