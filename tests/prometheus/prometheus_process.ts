/** Debian's Prometheus as a process on loopback, and what it is asked. */
import { isJsonObject, type JsonObject, type JsonValue } from "@signed-pods/shared/json";
import { parseStrictJson } from "@signed-pods/shared/strict-json";

const RULES = new URL("../../deploy/prometheus/rules.yaml", import.meta.url).pathname;

/** One series of an answer. */
export interface Sample {
  labels: JsonObject;
  value: number;
}

/** Whether the program is there. */
export async function isInstalled(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return false;
    }
    throw error;
  }
}

export class Prometheus {
  readonly #url: string;
  readonly #child: Deno.ChildProcess;
  readonly #log: Promise<string>;
  #ended = false;

  private constructor(url: string, child: Deno.ChildProcess) {
    this.#url = url;
    this.#child = child;
    this.#log = new Response(child.stderr).text();
    child.status.then(() => this.#ended = true);
  }

  /** Starts it, with the rules of deploy/, and one target that is scraped every second. */
  static async start(folder: string, target: string): Promise<Prometheus> {
    await Deno.writeTextFile(
      `${folder}/prometheus.yml`,
      JSON.stringify({
        global: { scrape_interval: "1s", evaluation_interval: "1s" },
        rule_files: [RULES],
        scrape_configs: [{ job_name: "kubelet-proxy", static_configs: [{ targets: [target] }] }],
      }),
    );
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const address = `127.0.0.1:${free.addr.port}`;
    free.close();
    const started = new Prometheus(
      `http://${address}`,
      new Deno.Command("prometheus", {
        args: [
          `--config.file=${folder}/prometheus.yml`,
          `--storage.tsdb.path=${folder}/prometheus`,
          `--web.listen-address=${address}`,
        ],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn(),
    );
    await started.until("Prometheus is ready", () => started.#isReady());
    return started;
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.#url}/-/ready`);
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }

  /** Waits until something is so. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!await condition()) {
      if (this.#ended || Date.now() > deadline) {
        await this.stop();
        throw new Error(`it did not come to be that ${what}:\n${(await this.#log).slice(-5_000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  async #ask(path: string): Promise<JsonObject> {
    const response = await fetch(this.#url + path);
    const answer = parseStrictJson(await response.text());
    if (!isJsonObject(answer) || answer.status !== "success" || !isJsonObject(answer.data)) {
      throw new Error(`${decodeURIComponent(path)}: ${JSON.stringify(answer)}`);
    }
    return answer.data;
  }

  /**
   * The value of an expression now.
   *
   * @throws if Prometheus does not take the expression
   */
  async query(expression: string): Promise<Sample[]> {
    const { result } = await this.#ask(`/api/v1/query?query=${encodeURIComponent(expression)}`);
    return objectsOf(result).map(({ metric, value }) => ({
      labels: isJsonObject(metric) ? metric : {},
      value: Number(Array.isArray(value) ? value[1] : Number.NaN),
    }));
  }

  /** All rules, as Prometheus has loaded and evaluated them. */
  async rules(): Promise<JsonObject[]> {
    const { groups } = await this.#ask("/api/v1/rules");
    return objectsOf(groups).flatMap(({ rules }) => objectsOf(rules));
  }

  /** Names of the alerts that fire. */
  async firing(): Promise<string[]> {
    const rules = await this.rules();
    return rules.filter(({ state }) => state === "firing").map(({ name }) => String(name)).sort();
  }

  async stop(): Promise<void> {
    if (!this.#ended) {
      this.#child.kill("SIGTERM");
    }
    await this.#child.status;
    await this.#log;
  }
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
