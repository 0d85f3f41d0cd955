import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, describe, test } from "node:test";

import { equals } from "@bufbuild/protobuf";
import { Code, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";

import {
  AccountService,
  AssistantService,
  bearer,
  CollectionService,
  ConversationService,
  DocumentService,
  followRun,
  isLast,
  problemOf,
  RunService,
  SessionService,
} from "../../src/index.js";
import { type RunEvent, RunEventSchema } from "../../src/gen/gatehouse/chat/v1/run_pb.js";
import { Document_State } from "../../src/gen/gatehouse/knowledge/v1/document_pb.js";
import { gateway } from "./gateway.js";

const baseUrl = gateway.url;
const sessionManager = new node.Http2SessionManager(baseUrl);
const nodeOptions = { agent: new Agent({ keepAlive: true }) };
after(() => {
  // Idle connections keep the process alive until the gateway closes them.
  sessionManager.abort();
  nodeOptions.agent.destroy();
});

const transports: Record<string, (interceptors: Interceptor[]) => Transport> = {
  "connect-node, gRPC": (interceptors) => node.createGrpcTransport({ baseUrl, interceptors, sessionManager }),
  "connect-node, gRPC-Web over HTTP/1.1": (interceptors) =>
    node.createGrpcWebTransport({ baseUrl, interceptors, httpVersion: "1.1", nodeOptions }),
  "connect-node, gRPC-Web over HTTP/2": (interceptors) =>
    node.createGrpcWebTransport({ baseUrl, interceptors, httpVersion: "2", sessionManager }),
  "connect-node, Connect in binary": (interceptors) =>
    node.createConnectTransport({ baseUrl, interceptors, httpVersion: "1.1", nodeOptions, useBinaryFormat: true }),
  "connect-node, Connect in JSON": (interceptors) =>
    node.createConnectTransport({ baseUrl, interceptors, httpVersion: "2", useBinaryFormat: false, sessionManager }),
  "connect-web, gRPC-Web": (interceptors) => web.createGrpcWebTransport({ baseUrl, interceptors }),
  "connect-web, Connect": (interceptors) => web.createConnectTransport({ baseUrl, interceptors }),
};

for (const [name, transport] of Object.entries(transports)) {
  describe(name, () => {
    test("signs in, asks, reads the streamed answer with citations, and reads it again from any event", async () => {
      const signedIn = await signIn(transport);
      const me = await createClient(AccountService, signedIn).getMe({});
      assert.equal(me.email, gateway.email);

      const assistant = await createClient(AssistantService, signedIn).createAssistant({
        assistant: { displayName: "Größe ✓", instructions: "Be brief." },
      });
      assert.equal(assistant.displayName, "Größe ✓");

      const collectionId = await handbook(signedIn);
      const conversation = await createClient(ConversationService, signedIn).createConversation({
        conversation: { assistantId: assistant.id, collectionIds: [collectionId] },
      });
      const events: RunEvent[] = [];
      for await (const event of createClient(ConversationService, signedIn).sendMessage({
        conversationId: conversation.id,
        content: "How many days of paid leave do I have?",
      })) {
        events.push(event);
      }
      checkAnswer(events);

      const runs = createClient(RunService, signedIn);
      for (let afterSeq = 0; afterSeq < events.length; afterSeq++) {
        const again: RunEvent[] = [];
        for await (const event of followRun(runs, events[0]?.runId ?? "", { afterSeq })) {
          again.push(event);
        }
        assert.equal(again.length, events.length - afterSeq, `after event ${afterSeq}`);
        for (const [i, event] of again.entries()) {
          const first = events[afterSeq + i];
          assert.ok(first && equals(RunEventSchema, event, first), `event ${event.seq} differs after ${afterSeq}`);
        }
      }
    });

    test("returns the reason and the field of an error", async () => {
      const anonymous = createClient(SessionService, transport([]));
      const refused = problemOf(
        await rejection(anonymous.signIn({ email: gateway.email, password: "not the password" })),
      );
      assert.equal(refused.code, Code.Unauthenticated);
      assert.equal(refused.reason, "INVALID_CREDENTIALS");

      const assistants = createClient(AssistantService, await signIn(transport));
      const invalid = problemOf(await rejection(assistants.createAssistant({ assistant: { model: "no slash" } })));
      assert.equal(invalid.code, Code.InvalidArgument);
      assert.equal(invalid.reason, "INVALID_ARGUMENT");
      assert.deepEqual(invalid.violations.map(({ field }) => field), ["assistant.model"]);

      const runs = createClient(RunService, await signIn(transport));
      const absent = problemOf(
        await rejection(runs.watchRun({ runId: "01932c07-3b5a-7d21-8f6b-0c9a4e5d1b2f" })[Symbol.asyncIterator]().next()),
      );
      assert.equal(absent.code, Code.NotFound);
      assert.equal(absent.reason, "NOT_FOUND");
    });
  });
}

async function signIn(transport: (interceptors: Interceptor[]) => Transport): Promise<Transport> {
  const { accessToken } = await createClient(SessionService, transport([])).signIn({
    email: gateway.email,
    password: gateway.password,
  });
  return transport([bearer(() => accessToken)]);
}

/** Creates a collection with one indexed document and returns its id. */
async function handbook(signedIn: Transport): Promise<string> {
  const collection = await createClient(CollectionService, signedIn).createCollection({
    collection: { displayName: "Handbook" },
  });
  const documents = createClient(DocumentService, signedIn);
  let document = await documents.createDocument({
    collectionId: collection.id,
    title: "Leave",
    contentType: "text/markdown",
    content: "# Leave\n\nEvery employee has 28 days of paid leave a year.\n",
  });
  const deadline = AbortSignal.timeout(60_000);
  while (document.state !== Document_State.READY) {
    assert.notEqual(document.state, Document_State.FAILED, document.failure?.message);
    await new Promise((resolve) => setTimeout(resolve, 50));
    document = await documents.getDocument({ id: document.id }, { signal: deadline });
  }
  return collection.id;
}

function checkAnswer(events: RunEvent[]): void {
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
  );
  assert.equal(events[0]?.event.case, "runStarted");
  const last = events.at(-1);
  assert.ok(last && isLast(last));
  assert.ok(last.event.case === "runCompleted", `the run ended with ${last.event.case}`);
  const text = events.map(({ event }) => (event.case === "messageDelta" ? event.value.text : "")).join("");
  assert.equal(text, last.event.value.message?.content);
  assert.match(text, /28 days/);
  assert.ok(events.some(({ event }) => event.case === "citation" && event.value.quote.includes("28 days")));
}

/** Returns the error of a call, which must fail. */
async function rejection(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (thrown) {
    return thrown;
  }
  return assert.fail("the call succeeded");
}
