/** The program itself, at its start: bin/kubelet-proxy's main.ts as a process. */
import tls from "node:tls";
import type { Case, CaseGroup } from "../case.ts";
import type { Setting } from "../setting.ts";

const MAIN = new URL("../../../proxy/main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../../proxy/deno.json", import.meta.url).pathname;

interface Program {
  /** Lines on standard error. */
  lines: string[];
  exited: Promise<number>;
  /** Resolves when it listens; its URL, or nothing if it has ended instead. */
  listening: Promise<string | undefined>;
  stop(): Promise<void>;
}

interface Files {
  folder: string;
  flags: string[];
}

async function files(setting: Setting): Promise<Files> {
  const folder = await Deno.makeTempDir();
  setting.onClose(() => Deno.remove(folder, { recursive: true }));
  const { authority, node, server } = setting.pki;
  const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
  await write("ca.pem", authority.certificate);
  await write("node.pem", node.certificate + node.key);
  await write("server.pem", server.certificate);
  await write("server.key", server.key);
  await write("half.pem", server.certificate.slice(0, 200));
  await write("empty.pem", "");
  await write(
    "kubeconfig",
    kubeconfig(setting.server.port, { "certificate-authority": "ca.pem" }, {
      "client-certificate": "node.pem",
      "client-key": "node.pem",
    }),
  );
  return {
    folder,
    flags: [
      `--kubeconfig=${folder}/kubeconfig`,
      `--signature-verification-cert=${folder}/server.pem`,
      `--tls-cert=${folder}/server.pem`,
      `--tls-key=${folder}/server.key`,
      `--client-ca=${folder}/ca.pem`,
      "--listen-addr=127.0.0.1:0",
    ],
  };
}

function kubeconfig(port: number, cluster: Record<string, unknown>, user: Record<string, unknown>): string {
  return JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: `https://127.0.0.1:${port}`, ...cluster } }],
    users: [{ name: "x", user }],
  });
}

function start(setting: Setting, folder: string, flags: readonly string[]): Program {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--unstable-no-legacy-abort",
      `--config=${CONFIG}`,
      "--ignore-env",
      `--allow-read=${folder}`,
      `--allow-write=${folder}/run`,
      `--allow-net=127.0.0.1,[::],0.0.0.0,unix:${folder}/run/http.sock,unix:${folder}/run/upstream.sock`,
      MAIN,
      "--log-format=json",
      `--runtime-dir=${folder}/run`,
      ...flags,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const listening = Promise.withResolvers<string | undefined>();
  const reading = (async () => {
    let rest = "";
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
      const line = parts.find((part) => part.includes('"event":"listening"'));
      if (line !== undefined) listening.resolve(String(JSON.parse(line).address));
    }
    listening.resolve(undefined);
  })();
  const exited = (async () => {
    const { code } = await child.status;
    await reading;
    return code;
  })();
  const stop = async () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await exited;
  };
  setting.onClose(stop);
  return { lines, exited, listening: listening.promise, stop };
}

/** What the cases of this file have in common: the usual proxy and kubelet, since the sentinel needs them. */
async function usual(setting: Setting): Promise<void> {
  await setting.startProxy();
  setting.startKubelet();
}

/** Starts with something wrong, and is refused. */
function refuses(
  name: string,
  does: string,
  flag: string,
  change: (files: Files, setting: Setting) => string[] | Promise<string[]>,
): Case {
  return {
    name,
    does,
    starts: ["list"],
    async run(setting) {
      const made = await files(setting);
      const program = start(setting, made.folder, await change(made, setting));
      const code = await program.exited;
      if (code !== 2 || !program.lines.some((line) => line.startsWith(`kubelet-proxy: ${flag}`))) {
        throw new Error(`it ended with ${code} and said ${program.lines.join("\n")}`);
      }
      setting.notes.add(`exit status 2, which names ${flag}`);
      await usual(setting);
    },
  };
}

function without(flags: readonly string[], ...names: string[]): string[] {
  return flags.filter((flag) => !names.includes(flag.split("=")[0] ?? ""));
}

/** Whether a server takes a request, over TLS with these options. */
function answers(url: string, options: tls.ConnectionOptions): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = tls.connect({ host: hostname, port: Number(port), rejectUnauthorized: false, ...options });
    socket.on(
      "secureConnect",
      () => socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    );
    socket.on("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => resolve(false));
  });
}

/** Runs the program as it should be, and looks at it from outside. */
function runs(
  name: string,
  does: string,
  look: (url: string, setting: Setting, program: Program) => Promise<void>,
): Case {
  return {
    name,
    does,
    starts: ["list"],
    async run(setting) {
      const { folder, flags } = await files(setting);
      const program = start(setting, folder, flags);
      const url = await program.listening;
      if (url === undefined) throw new Error(`it did not start: ${program.lines.join("\n")}`);
      await look(url, setting, program);
      await program.stop();
      await usual(setting);
    },
  };
}

export const starts: CaseGroup = {
  title: "Start",
  cases: [
    refuses(
      "23-half-a-certificate",
      "(a trusted certificate is half written at the start)",
      "--signature-verification-cert",
      (
        { flags, folder },
      ) => [
        ...without(flags, "--signature-verification-cert"),
        `--signature-verification-cert=${folder}/half.pem`,
      ],
    ),
    refuses(
      "23-empty-certificate",
      "(a trusted certificate is empty at the start)",
      "--signature-verification-cert",
      (
        { flags, folder },
      ) => [
        ...without(flags, "--signature-verification-cert"),
        `--signature-verification-cert=${folder}/empty.pem`,
      ],
    ),
    refuses(
      "23-half-a-certificate-beside-a-good-one",
      "(one of two trusted certificates is half written at the start)",
      "--signature-verification-cert",
      ({ flags, folder }) => [...flags, `--signature-verification-cert=${folder}/half.pem`],
    ),
    refuses(
      "25-no-trusted-key",
      "(no key is trusted)",
      "--signature-verification-cert",
      ({ flags }) => without(flags, "--signature-verification-cert"),
    ),
    refuses(
      "25-certificate-without-key",
      "(the serving certificate has no key)",
      "--tls-",
      ({ flags }) => without(flags, "--tls-key"),
    ),
    refuses(
      "25-client-authority-without-certificate",
      "(clients are to be authenticated, but there is no serving certificate)",
      "--client-ca",
      ({ flags }) => without(flags, "--tls-key", "--tls-cert"),
    ),
    refuses(
      "26-credential-plugin",
      "(the kubeconfig runs a program for its credential)",
      "--kubeconfig",
      async ({ flags, folder }, setting) => {
        await Deno.writeTextFile(
          `${folder}/kubeconfig`,
          kubeconfig(setting.server.port, { "certificate-authority": "ca.pem" }, {
            exec: { apiVersion: "client.authentication.k8s.io/v1", command: "sleep", args: ["1000"] },
          }),
        );
        return flags;
      },
    ),
    refuses(
      "26-plain-http-upstream-with-nothing",
      "(the kubeconfig names no certificate authority and no server)",
      "--kubeconfig",
      async ({ flags, folder }) => {
        await Deno.writeTextFile(`${folder}/kubeconfig`, JSON.stringify({ "current-context": "x" }));
        return flags;
      },
    ),
    runs(
      "25-client-without-certificate",
      "(a process of the node comes without a certificate)",
      async (url, { pki }) => {
        if (await answers(url, {})) throw new Error("it was served");
        if (await answers(url, { cert: pki.stranger.certificate, key: pki.stranger.key })) {
          throw new Error("a stranger was served");
        }
        if (!await answers(url, { cert: pki.node.certificate, key: pki.node.key })) {
          throw new Error("the kubelet was not served");
        }
      },
    ),
    runs("25-plain-http", "(a process of the node speaks plain HTTP)", async (url) => {
      const answered = await fetch(url.replace("https:", "http:")).then(() => true, () => false);
      if (answered) throw new Error("it was served");
    }),
    {
      name: "26-tls-not-verified",
      does: "(the kubeconfig says that the API server's certificate is not to be verified)",
      starts: ["list"],
      async run(setting) {
        const { folder, flags } = await files(setting);
        await Deno.writeTextFile(
          `${folder}/kubeconfig`,
          kubeconfig(setting.server.port, { "insecure-skip-tls-verify": true }, {
            "client-certificate": "node.pem",
            "client-key": "node.pem",
          }),
        );
        const program = start(setting, folder, flags);
        if (await program.listening === undefined) {
          throw new Error(`it did not start: ${program.lines.join("\n")}`);
        }
        if (!program.lines.some((line) => line.includes("insecure-setting"))) {
          throw new Error("there is no warning");
        }
        setting.notes.add("insecure-setting");
        await program.stop();
        await usual(setting);
      },
    },
    {
      name: "25-program-with-the-owner's-key",
      does: "shows a list with a pod that nobody signed to the program itself",
      starts: ["list"],
      async run(setting) {
        const { folder, flags } = await files(setting);
        const program = start(setting, folder, flags);
        const url = await program.listening;
        if (url === undefined) throw new Error(`it did not start: ${program.lines.join("\n")}`);
        using client = Deno.createHttpClient({
          caCerts: [setting.pki.authority.certificate],
          cert: setting.pki.node.certificate,
          key: setting.pki.node.key,
        });
        // The program trusts another key than the owner's, so that even the signed pod is unsigned to it.
        const response = await fetch(`${url}/api/v1/pods?fieldSelector=spec.nodeName%3Dworker`, { client });
        const { items } = await response.json();
        if (response.status !== 200 || !Array.isArray(items) || items.length > 0) {
          throw new Error(`it answered ${response.status} with ${JSON.stringify(items)}`);
        }
        await program.stop();
        await usual(setting);
      },
    },
  ],
};
