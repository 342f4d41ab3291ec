// SPDX-License-Identifier: Apache-2.0
/** What can go wrong. All of it is a ProctrackError, but for the reason of an AbortSignal. */

/** A sentence for a person. */
export class ProctrackError extends Error {
    override name = "ProctrackError";
}

/** We were given what can never be sent. */
export class InvalidArgument extends ProctrackError {
    override name = "InvalidArgument";
}

/** The broker said no. `errorcode` is for programs. */
export class Refused extends ProctrackError {
    override name = "Refused";

    constructor(
        readonly errorcode: string,
        sentence: string,
    ) {
        super(`${errorcode}: ${sentence}`);
    }
}

/** Nobody answered in time. What was asked for may still be carried out. */
export class NoReply extends ProctrackError {
    override name = "NoReply";
}

/** What came is not of this protocol. */
export class Malformed extends ProctrackError {
    override name = "Malformed";
}

/** It was closed while it was waited for, or before. */
export class Closed extends ProctrackError {
    override name = "Closed";
}
