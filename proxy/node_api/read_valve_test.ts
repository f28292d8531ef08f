import assert from "node:assert/strict";
import net from "node:net";
import { until } from "../fixture_test.ts";
import { readValve } from "./read_valve.ts";

Deno.test("a connection that is held back reads nothing until it is released", async () => {
  let peer: net.Socket | undefined;
  const server = net.createServer((socket) => {
    peer = socket;
    socket.write("first");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const socket = net.connect(address.port, "127.0.0.1");
  let text = "";
  let closed = false;
  socket.on("data", (chunk) => text += chunk);
  socket.on("close", () => closed = true);
  const valve = readValve(socket);
  await until(() => text === "first");
  valve.hold();
  const sent = new Promise<void>((resolve) => peer?.end("second", () => resolve()));
  await sent;
  // Time enough for a loopback connection, many times over.
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(text, "first");
  valve.release();
  await until(() => closed);
  assert.equal(text, "firstsecond");
  valve.release();
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

Deno.test("refuses a socket that cannot be held back", () => {
  assert.throws(() => readValve(new net.Socket()), /cannot hold back/);
});
