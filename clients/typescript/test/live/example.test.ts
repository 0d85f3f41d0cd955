import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { gateway } from "./gateway.js";

const ask = fileURLToPath(new URL("../../example/ask.js", import.meta.url));

test("the example prints the answer", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ask,
    gateway.url,
    gateway.email,
    gateway.password,
    "What is 6 * 7?",
  ]);
  assert.match(stdout, /42/);
});

test("the example prints why it could not sign in", async () => {
  await assert.rejects(
    promisify(execFile)(process.execPath, [ask, gateway.url, gateway.email, "not the password", "Hello?"]),
    (thrown: { code: number; stderr: string }) => thrown.code === 1 && thrown.stderr.startsWith("INVALID_CREDENTIALS "),
  );
});
