import { Code, ConnectError, type Client } from "@connectrpc/connect";

import type { RunEvent, RunService } from "./gen/gatehouse/chat/v1/run_pb.js";
import { problemOf } from "./problem.js";

/** The longest pause between two attempts, in milliseconds, when the server does not state one. */
const longestPause = 5000;

/** The options of {@link followRun}. */
export interface FollowOptions {
  /** The number of the last event that was received; 0 starts at the first event. */
  readonly afterSeq?: number;
  /** Stops following. The run continues. */
  readonly signal?: AbortSignal;
  /**
   * How many failed attempts in a row are allowed; 30 by default, which takes about two
   * minutes. A run whose process was lost ends within half a minute. Until then, the server
   * tells a reader that has received more events than are stored to wait.
   */
  readonly attempts?: number;
}

/**
 * Follows a run to its end, on any server. It resumes a stream that breaks off after its
 * last event, so it returns each event exactly once and in order.
 *
 * It throws an error with which the server rejects the call, and the error of the last attempt.
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
      return; // the run had ended, and all events were received
    } catch (thrown) {
      failures++;
      if (signal?.aborted || !brokeOff(thrown) || failures >= attempts) {
        throw thrown;
      }
      await sleep(problemOf(thrown).retryAfter ?? Math.min(100 * 2 ** failures, longestPause), signal);
    }
  }
}

/** Reports whether an event is the last one of its run. */
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

/** A service that stops returns UNAVAILABLE; one that dies resets the stream, which is INTERNAL. */
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
