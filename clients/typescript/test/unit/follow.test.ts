import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";

import { followRun, RunService } from "../../src/index.js";
import { type RunEvent, RunEventSchema } from "../../src/gen/gatehouse/chat/v1/run_pb.js";
import { RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";

function delta(seq: number): RunEvent {
  return create(RunEventSchema, { runId: "run", seq, event: { case: "messageDelta", value: { text: String(seq) } } });
}

function completed(seq: number): RunEvent {
  return create(RunEventSchema, { runId: "run", seq, event: { case: "runCompleted", value: {} } });
}

/** Returns a client whose nth call gets the nth stream, and the positions of the calls. */
function server(...streams: ((afterSeq: number) => Generator<RunEvent>)[]) {
  const asked: number[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(RunService, {
      async *watchRun({ afterSeq }) {
        asked.push(afterSeq);
        const stream = streams[Math.min(asked.length, streams.length) - 1];
        assert.ok(stream);
        yield* stream(afterSeq);
      },
    });
  });
  return { asked, runs: createClient(RunService, transport) };
}

async function read(events: AsyncIterable<RunEvent>): Promise<number[]> {
  const seen: number[] = [];
  for await (const { seq } of events) {
    seen.push(seq);
  }
  return seen;
}

for (const code of [Code.Unavailable, Code.Internal]) {
  test(`a stream that breaks off with ${Code[code]} is resumed after its last event`, async () => {
    const { asked, runs } = server(
      function* () {
        yield delta(1);
        yield delta(2);
        throw new ConnectError("the process died", code);
      },
      function* (afterSeq) {
        yield delta(afterSeq + 1);
        yield completed(afterSeq + 2);
      },
    );
    assert.deepEqual(await read(followRun(runs, "run")), [1, 2, 3, 4]);
    assert.deepEqual(asked, [0, 2]);
  });
}

test("a reader that is ahead of a lost run waits until the run ends", async () => {
  const wait = { desc: RetryInfoSchema, value: { retryDelay: { seconds: 0n, nanos: 1_000_000 } } };
  const ahead = function* (): Generator<RunEvent> {
    throw new ConnectError("the log ends with event 3 for now", Code.Unavailable, undefined, [wait]);
  };
  const { asked, runs } = server(ahead, ahead, ahead, ahead, ahead, ahead, ahead, function* () {
    yield create(RunEventSchema, { runId: "run", seq: 1025, event: { case: "runInterrupted", value: {} } });
  });
  assert.deepEqual(await read(followRun(runs, "run", { afterSeq: 7 })), [1025]);
  assert.equal(asked.length, 8);
});

test("a rejection is thrown without a retry", async () => {
  const { asked, runs } = server(function* () {
    throw new ConnectError("no such run", Code.NotFound);
  });
  await assert.rejects(read(followRun(runs, "run", { afterSeq: 7 })), { code: Code.NotFound });
  assert.deepEqual(asked, [7]);
});

test("a stream that keeps breaking off is given up", async () => {
  const { asked, runs } = server(function* () {
    throw new ConnectError("unavailable", Code.Unavailable);
  });
  await assert.rejects(read(followRun(runs, "run", { attempts: 2 })), { code: Code.Unavailable });
  assert.equal(asked.length, 2);
});

test("a run whose last event was received returns no further event", async () => {
  const { runs } = server(function* () {});
  assert.deepEqual(await read(followRun(runs, "run", { afterSeq: 9 })), []);
});
