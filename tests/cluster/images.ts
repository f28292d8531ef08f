/**
 * Container images made on the spot, as an archive that containerd imports: no registry is asked. All are one
 * layer with the machine's static busybox, and each has a configuration and so a digest of its own.
 *
 * @module
 */

/** Names of the images that the cluster has: by tag, and by digest where pods use it. */
export interface Images {
  /** What containerd runs as the sandbox of each pod. */
  pause: string;
  /** The image that owners sign, with its digest. */
  app: string;
  /** An image that nobody signed. It is on the node, so only the proxy keeps it from running. */
  intruder: string;
}

interface TarEntry {
  name: string;
  mode: number;
  content?: Uint8Array;
  linkTarget?: string;
  directory?: boolean;
}

/** A tar archive in the ustar format (POSIX.1-1988), with the time 0 so that equal input gives equal bytes. */
function tar(entries: TarEntry[]): Uint8Array {
  const blocks: Uint8Array[] = [];
  const encoder = new TextEncoder();
  for (const { name, mode, content, linkTarget, directory } of entries) {
    const header = new Uint8Array(512);
    const put = (text: string, offset: number) => header.set(encoder.encode(text), offset);
    const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0") + "\0";
    put(name, 0);
    put(octal(mode, 7), 100);
    put(octal(0, 7), 108);
    put(octal(0, 7), 116);
    put(octal(content?.length ?? 0, 11), 124);
    put(octal(0, 11), 136);
    put(" ".repeat(8), 148);
    put(directory ? "5" : linkTarget === undefined ? "0" : "2", 156);
    put(linkTarget ?? "", 157);
    put("ustar\u000000", 257);
    put(octal(header.reduce((sum, byte) => sum + byte, 0), 6), 148);
    blocks.push(header);
    if (content !== undefined) {
      blocks.push(content, new Uint8Array((512 - content.length % 512) % 512));
    }
  }
  blocks.push(new Uint8Array(1024));
  return concatenate(blocks);
}

function concatenate(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const APPLETS = [
  "sh",
  "sleep",
  "echo",
  "cat",
  "ls",
  "env",
  "true",
  "false",
  "test",
  "id",
  "hostname",
  "wget",
  "httpd",
];

async function createLayer(busybox: string): Promise<Uint8Array> {
  return tar([
    ...["bin", "dev", "etc", "proc", "sys", "tmp"].map((name) => ({ name, mode: 0o755, directory: true })),
    { name: "bin/busybox", mode: 0o755, content: await Deno.readFile(busybox) },
    ...APPLETS.map((name) => ({ name: `bin/${name}`, mode: 0o777, linkTarget: "busybox" })),
    { name: "etc/passwd", mode: 0o644, content: new TextEncoder().encode("root:x:0:0:root:/root:/bin/sh\n") },
  ]);
}

/**
 * Writes the archive (OCI image layout) to a file.
 *
 * @param busybox a statically linked busybox
 * @returns the names under which containerd will know the images
 */
export async function writeImages(file: string, busybox: string): Promise<Images> {
  const blobs = new Map<string, Uint8Array>();
  const addBlob = async (mediaType: string, bytes: Uint8Array) => {
    const digest = await sha256(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const layer = await addBlob("application/vnd.oci.image.layer.v1.tar", await createLayer(busybox));
  const manifests: unknown[] = [];
  const addImage = async (repository: string, command: string[]) => {
    const config = await addBlob(
      "application/vnd.oci.image.config.v1+json",
      json({
        architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
        os: "linux",
        config: { Env: ["PATH=/bin"], Cmd: command, Labels: { repository } },
        rootfs: { type: "layers", diff_ids: [layer.digest] },
      }),
    );
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const manifest = await addBlob(mediaType, json({ schemaVersion: 2, mediaType, config, layers: [layer] }));
    const names = { tag: `${repository}:1`, digest: `${repository}@${manifest.digest}` };
    for (const name of Object.values(names)) {
      manifests.push({ ...manifest, annotations: { "io.containerd.image.name": name } });
    }
    return names;
  };
  const pause = await addImage("localhost/pause", ["/bin/sleep", "2147483647"]);
  const app = await addImage("localhost/app", ["/bin/sh"]);
  const intruder = await addImage("localhost/intruder", ["/bin/sh"]);
  const archive = tar([
    { name: "oci-layout", mode: 0o644, content: json({ imageLayoutVersion: "1.0.0" }) },
    { name: "index.json", mode: 0o644, content: json({ schemaVersion: 2, manifests }) },
    ...Array.from(blobs, ([digest, content]) => ({ name: `blobs/sha256/${digest}`, mode: 0o644, content })),
  ]);
  await Deno.writeFile(file, archive);
  return { pause: pause.tag, app: app.digest, intruder: intruder.digest };
}
