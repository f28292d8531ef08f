/** nginx as a TLS reverse proxy with client certificates on both legs: the field's reference for what is passed through. */
import { freePort, isInstalled, run, startServer } from "./process.ts";
import type { Proxy } from "./proxy.ts";
import type { Racer } from "./racer.ts";

/** nginx's version, or undefined if it is not installed. */
export async function nginxVersion(): Promise<string | undefined> {
  if (!await isInstalled("nginx")) return undefined;
  // It says so on its standard error.
  return (await run("sh", ["-c", "nginx -v 2>&1"])).trim().replace(/^nginx version: nginx\//, "");
}

/** Starts it, with as many workers as Debian's package has: one for each core. */
export async function startNginx({ folder, port: upstream }: Racer): Promise<Proxy> {
  const port = freePort();
  const home = `${folder}/nginx`;
  await run("mkdir", ["-p", home]);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${home}/${name};`).join("\n  ");
  await Deno.writeTextFile(
    `${home}/nginx.conf`,
    `daemon off;
worker_processes auto;
pid ${home}/nginx.pid;
error_log ${home}/error.log;
events {}
http {
  access_log off;
  ${temporary}
  upstream api { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} ssl http2;
    keepalive_requests 1000000;
    ssl_certificate ${folder}/run/proxy.crt;
    ssl_certificate_key ${folder}/run/proxy.key;
    ssl_client_certificate ${folder}/run/ca.crt;
    ssl_verify_client on;
    location / {
      proxy_pass https://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_ssl_certificate ${folder}/run/node.crt;
      proxy_ssl_certificate_key ${folder}/run/node.key;
      proxy_ssl_trusted_certificate ${folder}/run/ca.crt;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
    }
  }
}
`,
  );
  const server = await startServer(
    "nginx",
    ["-c", `${home}/nginx.conf`, "-p", home, "-e", `${home}/error.log`],
    port,
    `${home}/log`,
  );
  return { ...server, port };
}
