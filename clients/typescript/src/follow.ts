import { Code, ConnectError, type Client } from "@connectrpc/connect";

import type { RunEvent, RunService } from "./gen/gatehouse/chat/v1/run_pb.js";
import { problemOf } from "./problem.js";

/** The longest pause between two attempts, in milliseconds, when the server does not state one. */
const longestPause = 5000;

/** How {@link followRun} follows. */
export interface FollowOptions {
  /** The last event that was seen; 0 begins at the beginning. */
  readonly afterSeq?: number;
  /** Ends the following; the run goes on. */
  readonly signal?: AbortSignal;
  /**
   * How often in a row to reconnect without having received anything; 30 by default, which
   * takes about two minutes. A run whose process was lost ends within half a minute. Until
   * then, the server asks a reader that has seen more than was stored to wait.
   */
  readonly attempts?: number;
}

/**
 * Follows a run to its end, wherever it runs. A stream that breaks off is resumed
 * after its last event, so each event comes exactly once and in order.
 *
 * It throws what the server refused, and what kept breaking off.
 */
export async function* followRun(
  runs: Client<typeof RunService>,
  runId: string,
  { afterSeq = 0, signal, attempts = 30 }: FollowOptions = {},
): AsyncGenerator<RunEvent, void, undefined> {
  let failures = 0;
  for (;;) {
    try {
      for await (const event of runs.watchRun({ runId, afterSeq }, signal ? { signal } : {})) {
        afterSeq = event.seq;
        failures = 0;
        yield event;
        if (isLast(event)) {
          return;
        }
      }
      return; // the run had ended, and everything was seen
    } catch (thrown) {
      failures++;
      if (signal?.aborted || !brokeOff(thrown) || failures >= attempts) {
        throw thrown;
      }
      await sleep(problemOf(thrown).retryAfter ?? Math.min(100 * 2 ** failures, longestPause), signal);
    }
  }
}

/** Whether no event comes after this one. */
export function isLast({ event }: RunEvent): boolean {
  switch (event.case) {
    case "runCompleted":
    case "runFailed":
    case "runCancelled":
    case "runInterrupted":
      return true;
    default:
      return false;
  }
}

/** A service that stops says UNAVAILABLE; one that dies resets the stream, which is INTERNAL. */
function brokeOff(thrown: unknown): boolean {
  const { code } = ConnectError.from(thrown);
  return code === Code.Unavailable || code === Code.Internal;
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done);
  });
}
