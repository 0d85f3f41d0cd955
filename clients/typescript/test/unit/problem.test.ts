import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { problemOf } from "../../src/index.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";

test("a fault keeps its reason, its fields and the time to wait", () => {
  const error = new ConnectError("wrong", Code.InvalidArgument, undefined, [
    { desc: ErrorInfoSchema, value: { domain: "elsewhere", reason: "OTHER" } },
    { desc: ErrorInfoSchema, value: { domain: "gatehouse", reason: "INVALID_ARGUMENT" } },
    { desc: BadRequestSchema, value: { fieldViolations: [{ field: "displayName", description: "is required" }] } },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n, nanos: 500_000_000 } } },
  ]);
  assert.deepEqual(problemOf(error), {
    code: Code.InvalidArgument,
    reason: "INVALID_ARGUMENT",
    detail: "wrong",
    violations: [{ field: "displayName", message: "is required" }],
    retryAfter: 2500,
  });
});

test("any other error has no reason", () => {
  assert.deepEqual(problemOf(new TypeError("fetch failed")), {
    code: Code.Unknown,
    reason: "",
    detail: "fetch failed",
    violations: [],
  });
});
