/**
 * Tests Google's own gRPC-Web client, as pages use it, with the serializers of this package.
 * It needs the browser's XMLHttpRequest, which a package replaces in Node.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  create,
  fromBinary,
  toBinary,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  type DescMessage,
} from "@bufbuild/protobuf";
import grpcweb from "grpc-web";
import XMLHttpRequest from "xhr2";

import { AccountService, AssistantService, ConversationService, isLast, SessionService } from "../../src/index.js";
import { BadRequestSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { type RunEvent } from "../../src/gen/gatehouse/chat/v1/run_pb.js";
import { gateway } from "./gateway.js";

globalThis.XMLHttpRequest = XMLHttpRequest;

function descriptor<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>,
): { path: string; info: grpcweb.MethodDescriptor<MessageShape<I>, MessageShape<O>> } {
  const path = `${gateway.url}/${method.parent.typeName}/${method.name}`;
  class Unconstructed<T> {
    declare readonly message: T;
  }
  return {
    path,
    info: new grpcweb.MethodDescriptor<MessageShape<I>, MessageShape<O>>(
      path,
      method.methodKind === "unary" ? "unary" : "server_streaming",
      Unconstructed as unknown as new () => MessageShape<I>,
      Unconstructed as unknown as new () => MessageShape<O>,
      (message: MessageShape<I>) => toBinary(method.input, message),
      (raw: Uint8Array) => fromBinary(method.output, raw),
    ),
  };
}

for (const format of ["text", "binary"]) {
  describe(`grpc-web in ${format}`, () => {
    const client = new grpcweb.GrpcWebClientBase({ format });

    function unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      request: MessageInitShape<I>,
      metadata: grpcweb.Metadata = {},
    ): Promise<MessageShape<O>> {
      const { path, info } = descriptor(method);
      return client.unaryCall(path, create(method.input, request), metadata, info);
    }

    function stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodServerStreaming<I, O>,
      request: MessageInitShape<I>,
      metadata: grpcweb.Metadata,
    ): Promise<MessageShape<O>[]> {
      const { path, info } = descriptor(method);
      return new Promise((resolve, reject) => {
        const received: MessageShape<O>[] = [];
        client
          .serverStreaming(path, create(method.input, request), metadata, info)
          .on("data", (message) => received.push(message))
          .on("error", reject)
          .on("end", () => resolve(received));
      });
    }

    async function signIn(): Promise<grpcweb.Metadata> {
      const { email, password } = gateway;
      const { accessToken } = await unary(SessionService.method.signIn, { email, password });
      return { Authorization: `Bearer ${accessToken}` };
    }

    test("signs in, creates an assistant and reads a complete answer", async () => {
      const credentials = await signIn();
      assert.equal((await unary(AccountService.method.getMe, {}, credentials)).email, gateway.email);
      const assistant = await unary(
        AssistantService.method.createAssistant,
        { assistant: { displayName: "Größe ✓" } },
        credentials,
      );
      assert.equal(assistant.displayName, "Größe ✓");

      const conversation = await unary(
        ConversationService.method.createConversation,
        { conversation: { assistantId: assistant.id } },
        credentials,
      );
      const events: RunEvent[] = await stream(
        ConversationService.method.sendMessage,
        { conversationId: conversation.id, content: "What is 6 * 7?" },
        credentials,
      );
      assert.deepEqual(
        events.map(({ seq }) => seq),
        events.map((_, i) => i + 1),
      );
      const last = events.at(-1);
      assert.ok(last && isLast(last));
    });

    test("returns the code, the text and the field of an error", async () => {
      const credentials = await signIn();
      const refused = await unary(
        AssistantService.method.createAssistant,
        { assistant: { description: "nameless" } },
        credentials,
      ).then(
        () => assert.fail("the call succeeded"),
        (thrown: unknown) => thrown,
      );
      assert.ok(refused instanceof grpcweb.RpcError);
      assert.equal(refused.code, grpcweb.StatusCode.INVALID_ARGUMENT);
      const details = Buffer.from(refused.metadata["grpc-status-details-bin"] ?? "", "base64");
      assert.ok(details.includes("assistant.displayName"), "the details do not name the field");
      assert.ok(details.includes(BadRequestSchema.typeName));
    });
  });
}
