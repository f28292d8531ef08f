/**
 * Follows objects of one kind through the API server's watch and keeps every event, in order and with the time
 * when it came. Tests look into this record; they neither poll nor miss a short-lived state.
 *
 * @module
 */
import { isJsonObject, type JsonObject } from "@signed-pods/shared/json";
import { parseObject, textAt } from "./json.ts";

/** One event of a watch. */
export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: JsonObject;
  receivedAt: Date;
}

/** The API server's record of what happened to objects of one kind. */
export class Watch {
  /** All events since the start, oldest first. */
  readonly events: WatchEvent[] = [];
  readonly #objects = new Map<string, JsonObject>();
  readonly #command: [string, string[]];
  #child: Deno.ChildProcess | undefined;
  #closed = false;
  readonly #ended: Promise<void>;

  /** @param command a command that prints the watch, an event per line, and ends when the server ends it */
  constructor(command: [string, string[]]) {
    this.#command = command;
    this.#ended = this.#follow();
  }

  async #follow(): Promise<void> {
    while (!this.#closed) {
      const [command, args] = this.#command;
      const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "null" })
        .spawn();
      this.#child = child;
      let rest = "";
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) this.#note(line);
      }
      await child.status;
      // The API server is being restarted; the next watch begins with the present state of every object.
      if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  #note(line: string): void {
    if (line.trim() === "") return;
    const event = parseObject(line);
    const { type, object } = event;
    if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED") return;
    if (!isJsonObject(object)) return;
    const uid = textAt(object, "metadata", "uid") ?? "";
    const known = this.#objects.get(uid);
    const sameVersion = known !== undefined &&
      textAt(known, "metadata", "resourceVersion") === textAt(object, "metadata", "resourceVersion");
    if (type === "ADDED" && sameVersion) return;
    if (type === "DELETED") this.#objects.delete(uid);
    else this.#objects.set(uid, object);
    this.events.push({
      type: type === "ADDED" && known !== undefined ? "MODIFIED" : type,
      object,
      receivedAt: new Date(),
    });
  }

  /** All objects as last seen. */
  all(): JsonObject[] {
    return [...this.#objects.values()];
  }

  /** The object of this namespace and name as last seen. */
  find(namespace: string, name: string): JsonObject | undefined {
    return this.all().find((object) =>
      textAt(object, "metadata", "namespace") === namespace && textAt(object, "metadata", "name") === name
    );
  }

  /** All events of one object. */
  history(uid: string): WatchEvent[] {
    return this.events.filter((event) => textAt(event.object, "metadata", "uid") === uid);
  }

  /** Ends the watch. */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      this.#child?.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    await this.#ended;
  }
}
