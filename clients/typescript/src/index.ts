// SPDX-License-Identifier: Apache-2.0
/**
 * Watch the processes of every block of a broker, and act on them.
 *
 *     const client = new Client();
 *     for await (const change of client.mirror("demo")) {
 *         console.log(change.type);
 *     }
 */

export type { AskOptions } from "./asking.js";
export { Client, type ClientOptions, runtimeDir, type Service } from "./client.js";
export * from "./errors.js";
export type * from "./messages.js";
export {
    type Calls,
    type Change,
    Mirror,
    type MirrorOptions,
    type MirrorState,
    type StateChange,
} from "./mirror.js";
export {
    type Aspect,
    type Block,
    type BlockChange,
    type Branch,
    type Gone,
    lifeOf,
    Picture,
} from "./picture.js";
export { Subscriber } from "./subscriber.js";
export type { Event } from "./wire.js";
