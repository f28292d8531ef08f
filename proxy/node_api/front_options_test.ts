import assert from "node:assert/strict";
import { type FrontFlags, readFrontOptions } from "./front_options.ts";

const NONE: FrontFlags = {
  listen: undefined,
  tlsCert: undefined,
  tlsKey: undefined,
  clientCa: undefined,
  server: "https://127.0.0.1:10250",
  certificateAuthority: undefined,
  clientCertificate: undefined,
  clientKey: undefined,
  config: undefined,
};

const ALL: FrontFlags = {
  ...NONE,
  listen: "10.0.0.1:10250",
  tlsCert: "/s.crt",
  tlsKey: "/s.key",
  clientCa: "/ca",
  certificateAuthority: "/kubelet-ca",
  clientCertificate: "/c.crt",
  clientKey: "/c.key",
};

function read(flags: FrontFlags, ownClientFile?: string) {
  const reported: string[] = [];
  const options = readFrontOptions(flags, ownClientFile, (flag) => void reported.push(flag));
  return { options, reported };
}

Deno.test("no front without its address", () => {
  assert.deepEqual(read(NONE), { options: undefined, reported: [] });
});

Deno.test("everything that a front needs", () => {
  assert.deepEqual(read({ ...ALL, config: "/config" }), {
    options: {
      listenAddress: { hostname: "10.0.0.1", port: 10250 },
      tls: { certificateFile: "/s.crt", keyFile: "/s.key", clientCaFile: "/ca" },
      kubelet: {
        host: "127.0.0.1",
        port: 10250,
        certificateAuthorityFile: "/kubelet-ca",
        certificateFile: "/c.crt",
        keyFile: "/c.key",
      },
      kubeletConfigFile: "/config",
    },
    reported: [],
  });
  assert.deepEqual(
    read({ ...ALL, listen: ":10250", server: "https://[::1]:10260" }).options?.kubelet.host,
    "::1",
  );
});

Deno.test("the own leg has a certificate towards the kubelet, which flags overrule", () => {
  const without = { ...ALL, clientCertificate: undefined, clientKey: undefined };
  const { options, reported } = read(without, "/pki/front-client.pem");
  assert.deepEqual(reported, []);
  assert.deepEqual(
    [options?.kubelet.certificateFile, options?.kubelet.keyFile],
    ["/pki/front-client.pem", "/pki/front-client.pem"],
  );
  assert.equal(read(ALL, "/pki/front-client.pem").options?.kubelet.keyFile, "/c.key");
  assert.deepEqual(read(NONE, "/pki/front-client.pem"), { options: undefined, reported: [] });
});

Deno.test("refuses half of a certificate towards the kubelet, also with an own leg", () => {
  assert.deepEqual(read({ ...ALL, clientKey: undefined }, "/pki/front-client.pem").reported, [
    "--kubelet-client-key",
  ]);
  assert.deepEqual(read({ ...ALL, clientCertificate: undefined }, "/pki/front-client.pem").reported, [
    "--kubelet-client-certificate",
  ]);
});

Deno.test("refuses a front of which something is missing, and names all of it", () => {
  const { options, reported } = read({ ...NONE, listen: "10.0.0.1:10250" });
  assert.equal(options, undefined);
  assert.deepEqual(reported, [
    "--kubelet-api-tls-cert",
    "--kubelet-api-tls-key",
    "--kubelet-api-client-ca",
    "--kubelet-certificate-authority",
    "--kubelet-client-certificate",
    "--kubelet-client-key",
  ]);
});

Deno.test("refuses what is given for a front that is not there", () => {
  assert.deepEqual(read({ ...ALL, listen: undefined, config: "/c" }).reported, [
    "--kubelet-api-tls-cert",
    "--kubelet-api-tls-key",
    "--kubelet-api-client-ca",
    "--kubelet-certificate-authority",
    "--kubelet-client-certificate",
    "--kubelet-client-key",
    "--kubelet-config",
  ]);
});

Deno.test("refuses addresses that are none, and the kubelet's own", () => {
  for (
    const listen of ["", "10.0.0.1", "x y:1", ":10250", "0.0.0.0:10250", "[::]:10250", "127.0.0.1:10250"]
  ) {
    assert.deepEqual(read({ ...ALL, listen }).reported, ["--kubelet-api-listen"], listen);
  }
});

Deno.test("refuses a kubelet that is not on loopback, or not named in full", () => {
  for (
    const server of [
      "",
      "127.0.0.1:10250",
      "http://127.0.0.1:10250",
      "https://127.0.0.1",
      "https://10.0.0.1:10250",
      "https://localhost:10250",
      "https://127.0.0.1:10250/x",
      "https://127.0.0.1:10250/?a",
      "https://u:p@127.0.0.1:10250",
      "https://127.0.0.1:10250/#x",
    ]
  ) {
    assert.deepEqual(
      read({ ...ALL, server }),
      { options: undefined, reported: ["--kubelet-api-server"] },
      server,
    );
  }
});
