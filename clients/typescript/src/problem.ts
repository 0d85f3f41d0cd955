import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** The domain of the reasons in docs/errors.md. */
const domain = "gatehouse";

/** A field of the request that is wrong, spelled as JSON spells it. */
export interface Violation {
  readonly field: string;
  readonly message: string;
}

/** What went wrong with a call: the same over every transport. */
export interface Problem {
  /** The gRPC code. */
  readonly code: Code;
  /**
   * The stable reason, for example "NOT_FOUND": docs/errors.md lists all. Empty when
   * the error did not come from Gatehouse: a connection that failed, a proxy.
   */
  readonly reason: string;
  /** A sentence for a person. */
  readonly detail: string;
  /** The fields that are wrong. */
  readonly violations: readonly Violation[];
  /** How long to wait before trying again, in milliseconds, when the server says so. */
  readonly retryAfter?: number;
}

/** Reads what a call threw. Whatever it is, the answer is a problem. */
export function problemOf(thrown: unknown): Problem {
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === domain);
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    code: error.code,
    reason: info?.reason ?? "",
    detail: error.rawMessage,
    violations: error
      .findDetails(BadRequestSchema)
      .flatMap((bad) => bad.fieldViolations)
      .map(({ field, description }) => ({ field, message: description })),
    ...(delay ? { retryAfter: Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6) } : {}),
  };
}
