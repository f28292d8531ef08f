import { deepStrictEqual, throws } from "node:assert/strict";
import { connectPermissions, listenPermissions, permissionFlags } from "./permissions.ts";

Deno.test("one flag per kind, commas doubled, repetitions once", () => {
  deepStrictEqual(
    permissionFlags({ read: ["/a", "/b,c", "/a"], write: [], net: ["h:1"], env: ["E"], run: ["kubectl"] }),
    ["--allow-read=/a,/b,,c", "--allow-net=h:1", "--allow-env=E", "--allow-run=kubectl"],
  );
});

Deno.test("an empty value, which would allow everything, allows nothing", () => {
  deepStrictEqual(permissionFlags({ read: [""] }), []);
  deepStrictEqual(permissionFlags({ read: ["", "/a"] }), ["--allow-read=/a"]);
});

Deno.test("refuses a line break, behind which another flag could stand", () => {
  throws(() => permissionFlags({ read: ["/a\n--allow-run"] }), RangeError);
});

Deno.test("binding: ports, families, all interfaces", () => {
  deepStrictEqual(listenPermissions("127.0.0.1", 8080), ["127.0.0.1:8080"]);
  deepStrictEqual(listenPermissions("127.0.0.1", 0), ["127.0.0.1"]);
  deepStrictEqual(listenPermissions("::1", 1), ["[::1]:1"]);
  deepStrictEqual(listenPermissions("::", 1), ["[::]:1", "0.0.0.0:1"]);
});

Deno.test("connecting: the scheme's port where none is written, nothing for what is no URL", () => {
  deepStrictEqual(connectPermissions("https://a.example/x"), ["a.example:443"]);
  deepStrictEqual(connectPermissions("http://a.example"), ["a.example:80"]);
  deepStrictEqual(connectPermissions("http://[::1]:8080"), ["[::1]:8080"]);
  deepStrictEqual(connectPermissions("nothing"), []);
});
