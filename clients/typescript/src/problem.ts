import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** The domain of the reasons in docs/errors.md. */
const domain = "gatehouse";

/** An invalid field of the request, with its JSON name. */
export interface Violation {
  readonly field: string;
  readonly message: string;
}

/** The error of a call, in the same form for every transport. */
export interface Problem {
  /** The gRPC code. */
  readonly code: Code;
  /**
   * The stable reason, for example "NOT_FOUND": docs/errors.md lists all. Empty when
   * the error is not from Gatehouse, for example from a proxy or a failed connection.
   */
  readonly reason: string;
  /** A sentence for people. */
  readonly detail: string;
  /** The invalid fields. */
  readonly violations: readonly Violation[];
  /** How long to wait before a retry, in milliseconds, if the server states it. */
  readonly retryAfter?: number;
}

/** Converts a thrown value of any kind to a problem. */
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
