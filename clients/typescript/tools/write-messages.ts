// SPDX-License-Identifier: Apache-2.0
/** usage: write-messages [SCHEMAS [FILE]] */

import { writeFile } from "node:fs/promises";

import { messages } from "./messages.js";

const [schemas = "../../schemas", file = "src/messages.ts"] = process.argv.slice(2);
await writeFile(file, await messages(schemas));
