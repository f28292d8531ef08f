/** racer (bench/racer, Go): a made-up API server, and a made-up kubelet that measures. */
import { freePort, isInstalled, run, type Server, startServer } from "./process.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** The numbers in the line that racer printed: `p50` in milliseconds, `events/s` and others. */
export type Reading = Readonly<Record<string, number>>;

export class Racer {
  readonly folder: string;
  readonly #port = freePort();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Builds it, and makes certificates; all in a folder. */
  static async build(folder: string): Promise<Racer> {
    if (!await isInstalled("go")) {
      throw new Error("racer is built with Go, which is missing: install Go 1.26 or newer");
    }
    await run("go", ["build", "-o", `${folder}/racer`, "."], { cwd: `${ROOT}bench/racer` });
    await run(`${folder}/racer`, ["init"], { cwd: folder });
    await Deno.copyFile(`${ROOT}bench/racer/pod.json`, `${folder}/pod.json`);
    await Deno.mkdir(`${folder}/sets`);
    return new Racer(folder);
  }

  /** Starts the API server. */
  async serve(): Promise<Server> {
    return await startServer(
      `${this.folder}/racer`,
      ["serve", "-port", String(this.#port)],
      this.#port,
      `${this.folder}/racer.log`,
      { cwd: this.folder },
    );
  }

  /** Where the API server is. */
  get port(): number {
    return this.#port;
  }

  /** Is the kubelet once. */
  async race(port: number, args: readonly string[]): Promise<Reading> {
    return await this.raceAt(`https://127.0.0.1:${port}`, args);
  }

  /** Likewise, of a server that is not there for kubelets. */
  async raceAt(base: string, args: readonly string[]): Promise<Reading> {
    const line = await run(`${this.folder}/racer`, [...args, "-base", base], { cwd: this.folder });
    const reading: Record<string, number> = {};
    for (const [, name = "", value] of line.matchAll(/(\S+)=([\d.]+)/g)) reading[name] = Number(value);
    return reading;
  }
}

/** A number of a reading. */
export function valueOf(reading: Reading, name: string): number {
  const value = reading[name];
  if (value === undefined || Number.isNaN(value)) throw new Error(`racer printed no ${name}`);
  return value;
}
