/**
 * Signs in, asks a question and prints the answer while it arrives, with gRPC-Web like a
 * page.
 *
 *     node dist/example/ask.js http://127.0.0.1:8080 admin@gatehouse.local PASSWORD "What is 6 * 7?"
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { bearer, ConversationService, followRun, problemOf, RunService, SessionService } from "@gatehouse/client";

const [baseUrl = "", email = "", password = "", content = ""] = process.argv.slice(2);

let accessToken = "";
const transport = createGrpcWebTransport({ baseUrl, interceptors: [bearer(() => accessToken)] });

try {
  ({ accessToken } = await createClient(SessionService, transport).signIn({ email, password }));

  const conversations = createClient(ConversationService, transport);
  const conversation = await conversations.createConversation({});
  const { run } = await conversations.startMessage({ conversationId: conversation.id, content });

  // The run continues without readers. followRun resumes a stream that breaks off.
  for await (const { event } of followRun(createClient(RunService, transport), run?.id ?? "")) {
    if (event.case === "messageDelta") {
      process.stdout.write(event.value.text);
    }
    if (event.case === "runInterrupted") {
      console.error("\ninterrupted; the stored text:", event.value.message?.content);
    }
    if (event.case === "runFailed") {
      console.error(event.value.error?.detail);
    }
  }
  process.stdout.write("\n");
} catch (thrown) {
  const { reason, detail, violations } = problemOf(thrown);
  console.error(reason, detail, violations);
  process.exitCode = 1;
}
