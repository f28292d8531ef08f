/** What the proxy does about refused pods, and what it may do to itself: rejection, exemptions, keys, start, secrets. */
import { isJsonObject, type JsonObject, objectAt, objectsAt } from "@signed-pods/shared/json";
import { createVerifier } from "@signed-pods/shared/pod/verify";
import { ManualClock } from "../../fakes/clock.ts";
import { makePod, objectOf, uidOf, withMetadata, withSpec } from "../../fakes/owner.ts";
import { answer, type Received } from "../api_server.ts";
import type { Case, CaseGroup } from "../case.ts";
import type { Setting } from "../setting.ts";
import { finish, started } from "./requests.ts";

const UNSIGNED: JsonObject = makePod({ name: "unsigned", uid: uidOf(700), image: "registry.example/evil:1" });

function patches(setting: Setting, name = "unsigned"): Received[] {
  return setting.server.requests.filter(({ kind, target }) =>
    kind === "patch" && target.includes(`/pods/${name}/`)
  );
}

function phase(setting: Setting, name = "unsigned"): unknown {
  return objectAt(setting.api.pod("default", name) ?? {}, "status").phase;
}

function body(request: Received | undefined): JsonObject {
  const value: unknown = JSON.parse(request?.body ?? "null");
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("the patch is no object");
  }
  return objectOf(value);
}

/** Answers the first PATCHes of a status in its own way. */
function failsPatches(slug: string, does: string, make: () => string, times = 2): Case {
  return {
    name: `19-${slug}`,
    does,
    async run(setting) {
      let failed = 0;
      setting.server.lie = ({ kind }) =>
        kind === "patch" && failed < times
          ? (wire) => {
            failed++;
            return finish(wire, make());
          }
          : undefined;
      await started(setting);
      setting.api.put(UNSIGNED);
      await setting.until("the pod is Failed after all", () => phase(setting) === "Failed");
      setting.notes.add("status NodeAdmissionRejected");
    },
  };
}

function status(code: number, reason: string): string {
  return answer(
    JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", reason, code }),
    `${code} X`,
  );
}

export const rejection: CaseGroup = {
  title: "Refused pods",
  cases: [
    {
      name: "18-successor-of-a-refused-name",
      does: "replaces a refused pod by a signed one of the same name",
      async run(setting) {
        await started(setting);
        setting.api.put(UNSIGNED);
        await setting.until("the pod is Failed", () => phase(setting) === "Failed");
        setting.api.remove("default", "unsigned");
        setting.api.put(await setting.signed({ name: "unsigned" }));
        await setting.untilHeld("unsigned");
      },
    },
    {
      name: "18-refused-pod-is-signed",
      does: "gives a refused pod its signature",
      async run(setting) {
        await started(setting);
        const signed = await setting.signed({ name: "late" });
        setting.api.put(withMetadata(signed, { annotations: {} }));
        await setting.until("the pod is Failed", () => phase(setting, "late") === "Failed");
        setting.api.put(signed);
        await setting.untilHeld("late");
      },
    },
    {
      name: "18-many-come-and-go",
      does: "shows and removes 200 unsigned pods of one name, then a signed one",
      async run(setting) {
        await started(setting);
        for (let number = 0; number < 200; number++) {
          setting.api.put(withMetadata(UNSIGNED, { uid: setting.uid() }));
          setting.api.remove("default", "unsigned");
        }
        setting.api.put(await setting.signed({ name: "unsigned" }));
        await setting.untilHeld("unsigned");
      },
    },
    failsPatches(
      "patch-fails",
      "answers the proxy's status PATCH with 500, twice",
      () => status(500, "InternalError"),
    ),
    failsPatches(
      "patch-conflicts",
      "answers the proxy's status PATCH with a Conflict, twice",
      () => status(409, "Conflict"),
    ),
    failsPatches(
      "patch-throttled",
      "answers the proxy's status PATCH with 429, twice",
      () => status(429, "TooManyRequests"),
    ),
    failsPatches("patch-cut", "ends the connection on the proxy's status PATCH, twice", () => "HTTP/1.1 2"),
    {
      name: "19-patch-redirected",
      does: "redirects the proxy's status PATCH",
      async run(setting) {
        setting.server.lie = ({ kind }) =>
          kind === "patch"
            ? (wire) => finish(wire, answer("", "307 X", ["Location: https://127.0.0.1:1/"]))
            : undefined;
        await started(setting);
        setting.api.put(UNSIGNED);
        await setting.until("the proxy gives up", () => setting.log.events().includes("rejection-given-up"));
      },
    },
    {
      name: "19-patch-names-the-uid",
      does: "shows an unsigned pod",
      async run(setting) {
        await started(setting);
        setting.api.put(UNSIGNED);
        await setting.until("the pod is Failed", () => phase(setting) === "Failed");
        if (objectAt(body(patches(setting)[0]), "metadata").uid !== uidOf(700)) {
          throw new Error("the PATCH has no UID");
        }
        setting.notes.add("status NodeAdmissionRejected");
      },
    },
    {
      name: "19-pod-is-gone",
      does: "answers the proxy's status PATCH with 404",
      async run(setting) {
        setting.server.lie = ({ kind }) =>
          kind === "patch" ? (wire) => finish(wire, status(404, "NotFound")) : undefined;
        await started(setting);
        setting.api.put(UNSIGNED);
        await setting.until("the PATCH has come", () => patches(setting).length > 0);
        await setting.sentinel();
        if (patches(setting).length > 1) throw new Error("the PATCH was repeated for a pod that is gone");
      },
    },
    {
      name: "19-refused-pod-is-deleted",
      does: "deletes a refused pod with a grace period that no kubelet will end",
      async run(setting) {
        await started(setting);
        setting.api.put(withMetadata(UNSIGNED, {
          deletionTimestamp: "2026-01-01T00:00:00Z",
          deletionGracePeriodSeconds: 30,
        }));
        await setting.until("the pod is gone", () => setting.api.pod("default", "unsigned") === undefined);
        const request = setting.server.requests.find(({ kind }) => kind === "delete");
        const { gracePeriodSeconds, preconditions } = body(request);
        if (gracePeriodSeconds !== 0 || !isJsonObject(preconditions) || preconditions.uid !== uidOf(700)) {
          throw new Error(`the DELETE was ${request?.body}`);
        }
      },
    },
    {
      name: "20-credential-of-the-node",
      does: "looks at who sends the status PATCH",
      async run(setting) {
        setting.proxyOptions = { bearerToken: () => Promise.resolve("node-token") };
        await started(setting);
        setting.api.put(UNSIGNED);
        await setting.until("the pod is Failed", () => phase(setting) === "Failed");
        for (const { authenticated, headers } of patches(setting)) {
          if (!authenticated || headers.get("authorization") !== "Bearer node-token") {
            throw new Error("the PATCH came without the node's credential");
          }
        }
      },
    },
    {
      name: "21-pods-of-one-controller",
      does: "makes a new unsigned pod for each one that has failed, as a ReplicaSet does",
      async run(setting) {
        await started(setting);
        let made = 0;
        setting.server.lie = ({ kind }) => {
          if (kind === "patch") next();
          return undefined;
        };
        const next = () => {
          const pod = makePod({ name: `made-${made}`, uid: setting.uid(), controller: uidOf(701) });
          made++;
          setting.api.put(pod);
        };
        next();
        next();
        await setting.until("the first pod is Failed", () => phase(setting, "made-0") === "Failed");
        await setting.sentinel();
        await setting.sentinel();
        const failed = setting.api.pods().filter((pod) => objectAt(pod, "status").phase === "Failed");
        if (failed.length > 1) throw new Error(`${failed.length} pods of one controller were failed at once`);
        setting.notes.add("status NodeAdmissionRejected of one pod; the others wait, with an Event");
      },
    },
    {
      name: "22-change-is-not-swallowed",
      does: "changes a pod that runs, and waits for its end",
      web: "ends",
      async run(setting) {
        await started(setting);
        setting.api.change("default", "web", (pod) => withSpec(pod, { hostNetwork: true }));
        await setting.until(
          "the pod is being deleted",
          () => objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined,
        );
        await setting.sentinel();
        if (phase(setting, "web") === "Failed") {
          throw new Error("the pod is called Failed while its containers run");
        }
        await setting.ask({
          do: "patch",
          namespace: "default",
          name: "web",
          body: { metadata: { uid: uidOf(1) }, status: { phase: "Succeeded" } },
        });
        await setting.untilGone("web");
        if (phase(setting, "web") !== "Failed") throw new Error("the pod does not say that it was refused");
        setting.notes.add("status NodeAdmissionRejected");
      },
    },
  ],
};

/** Shows an unsigned pod that looks as if it belonged to the system. */
function system(slug: string, does: string, change: (pod: JsonObject) => JsonObject): Case {
  return {
    name: `24-${slug}`,
    does,
    run: (setting) =>
      setting.show(
        change(makePod({ name: "kube-proxy-x7k2p", namespace: "kube-system", uid: setting.uid() })),
      ),
  };
}

export const exemptions: CaseGroup = {
  title: "Exemptions",
  cases: [
    system("pod-of-kube-system", "shows an unsigned pod in kube-system", (pod) => pod),
    system(
      "labels-of-the-system",
      "gives an unsigned pod the labels of kube-proxy",
      (pod) =>
        withMetadata(pod, { labels: { "k8s-app": "kube-proxy", "kubernetes.io/cluster-service": "true" } }),
    ),
    system("owner-daemon-set", "says that a DaemonSet owns an unsigned pod", (pod) =>
      withMetadata(pod, {
        ownerReferences: [{
          apiVersion: "apps/v1",
          kind: "DaemonSet",
          name: "kube-proxy",
          uid: uidOf(702),
          controller: true,
        }],
      })),
    system(
      "owner-node",
      "says that the node owns an unsigned pod, as of a mirror",
      (pod) =>
        withMetadata(pod, {
          ownerReferences: [{
            apiVersion: "v1",
            kind: "Node",
            name: "worker",
            uid: uidOf(703),
            controller: true,
          }],
        }),
    ),
    system(
      "source-file",
      "says that an unsigned pod comes from a file of the node",
      (pod) =>
        withMetadata(pod, {
          annotations: {
            "kubernetes.io/config.source": "file",
            "kubernetes.io/config.hash": "0123456789abcdef",
          },
        }),
    ),
    system(
      "critical-priority",
      "gives an unsigned pod the highest priority",
      (pod) => withSpec(pod, { priorityClassName: "system-node-critical", priority: 2000001000 }),
    ),
    system(
      "critical-annotation",
      "calls an unsigned pod critical",
      (pod) => withMetadata(pod, { annotations: { "scheduler.alpha.kubernetes.io/critical-pod": "" } }),
    ),
    system(
      "namespace-of-the-proxy",
      "names an unsigned pod after the proxy",
      (pod) => withMetadata(pod, { name: "kubelet-proxy", namespace: "kubelet-proxy" }),
    ),
  ],
};

export const keys: CaseGroup = {
  title: "Keys and credentials",
  cases: [
    {
      name: "23-key-replaced-with-overlap",
      does: "shows a running pod to a proxy that has been started again with one more key",
      async run(setting) {
        await started(setting);
        const verifier = createVerifier({
          keys: [setting.stranger.verificationKey, setting.owner.verificationKey],
          acceptForms: new Set(["template", "spec"]),
          requireDigests: false,
        });
        await restart(setting, { verifier });
        if (objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined) {
          throw new Error("the pod is being stopped");
        }
      },
    },
    {
      name: "23-key-replaced-without-overlap",
      does:
        "shows a running pod, and a new one of the same owner, to a proxy that has been started again with other keys alone",
      async run(setting) {
        await started(setting);
        await restart(setting, { verifier: setting.stranger.verifier });
        const fresh = await setting.signed({ name: "fresh" });
        setting.api.put(fresh);
        await setting.until("the new pod is Failed", () => phase(setting, "fresh") === "Failed");
        if (objectOf(setting.held("web")?.metadata ?? {}).deletionTimestamp !== undefined) {
          throw new Error("the pod that was admitted before is being stopped");
        }
        await restart(setting, {});
      },
    },
    {
      name: "23-expired-while-running",
      does: "shows a pod that runs after its signature has expired, also to the next process",
      async run(setting) {
        const clock = new ManualClock(new Date());
        setting.proxyOptions = { clock };
        const pod = makePod({ name: "dated", uid: setting.uid() });
        setting.api.put(await setting.sign(pod, { notAfter: new Date(Date.now() + 3_600_000) }));
        await started(setting);
        await setting.untilHeld("dated");
        await clock.advance(7_200_000);
        setting.api.change("default", "dated", (pod) => ({ ...pod, status: { phase: "Running" } }));
        await restart(setting, { clock });
        await setting.untilHeld("dated");
        if (objectOf(setting.held("dated")?.metadata ?? {}).deletionTimestamp !== undefined) {
          throw new Error("the pod is being stopped");
        }
      },
    },
    {
      name: "26-token-rotates",
      does: "accepts a new token only",
      async run(setting) {
        let token = "token-1";
        let underWay = 0;
        setting.proxyOptions = {
          bearerToken() {
            underWay++;
            return Promise.resolve(token);
          },
        };
        setting.server.lie = ({ headers }) => {
          underWay--;
          return headers.get("authorization") === `Bearer ${token}`
            ? undefined
            : (wire) => finish(wire, status(401, "Unauthorized"));
        };
        await started(setting);
        // A request that is on its way while the token changes would be refused, and its sender would ask again.
        await setting.until("no request with the old token is on its way", () => {
          if (underWay !== 0) return false;
          token = "token-2";
          return true;
        });
        setting.api.endWatches();
        await setting.sentinel();
      },
    },
    {
      name: "26-token-cannot-be-read",
      does: "is not asked while the node's token cannot be read",
      async run(setting) {
        let readable = false;
        setting.proxyOptions = {
          bearerToken: () => readable ? Promise.resolve("token") : Promise.reject(new Error("no such file")),
        };
        await setting.startProxy();
        setting.startKubelet();
        await setting.until(
          "the proxy has said so",
          () => setting.log.events().includes("upstream-no-credential"),
        );
        if (setting.server.requests.length > 0) throw new Error("a request went up without a credential");
        readable = true;
      },
    },
  ],
};

async function restart(setting: Setting, options: Parameters<Setting["startProxy"]>[0]): Promise<void> {
  await setting.stopKubelet();
  await setting.startProxy(options);
  setting.startKubelet();
  await setting.untilHeld("web");
}

const CANARY = "canary-5f2b";

/** Everything that the proxy said, to anybody. */
function said(setting: Setting): string {
  return JSON.stringify([
    setting.logs.map(({ lines }) => lines),
    setting.server.requests.map(({ body }) => body),
    setting.api.events,
  ]);
}

function envPod(setting: Setting, value: string): JsonObject {
  const pod = makePod({ name: "secretive", uid: setting.uid() });
  return withSpec(pod, {
    containers: objectsAt(objectOf(pod.spec), "containers").map((container) => ({
      ...container,
      env: [{ name: "PASSWORD", value }],
      args: ["--serve"],
    })),
  });
}

export const secrets: CaseGroup = {
  title: "Secrets",
  cases: [
    {
      name: "28-environment-values",
      does: "changes a variable of a signed pod, to read its value in the refusal",
      async run(setting) {
        await started(setting);
        const pod = await setting.sign(envPod(setting, CANARY));
        const changed = withSpec(pod, {
          containers: objectsAt(objectOf(envPod(setting, "x").spec), "containers"),
        });
        setting.api.put(changed);
        await setting.until("the pod is Failed", () => phase(setting, "secretive") === "Failed");
        await setting.until("the Event is there", () => setting.api.events.length > 0);
        const message = objectAt(setting.api.pod("default", "secretive") ?? {}, "status").message;
        if (typeof message !== "string" || !message.includes("PASSWORD")) {
          throw new Error(`the message does not name the variable: ${String(message)}`);
        }
        // The signed template, in the annotation, is what the API server has anyway; nothing else may hold the value.
        if (said(setting).includes(CANARY)) throw new Error("the value is in a log, a message or an Event");
        setting.notes.add("status NodeAdmissionRejected, which names the variable and not its value");
      },
    },
    {
      name: "28-bearer-token",
      does: "repeats the node's token in failures",
      async run(setting) {
        setting.proxyOptions = { bearerToken: () => Promise.resolve(CANARY) };
        await setting.lieOnce(async (request, wire) => {
          const token = request.headers.get("authorization") ?? "";
          await finish(
            wire,
            `HTTP/1.1 200 ${token}\r\nContent-Type: application/json\r\nX: ${token}\r\n\r\n${token}`,
          );
        });
        if (said(setting).includes(CANARY)) throw new Error("the token is in a log");
      },
    },
    {
      name: "28-credential-of-the-kubelet",
      does: "looks for what the kubelet showed to the proxy",
      async run(setting) {
        await started(setting);
        const { status } = await setting.fetch("/api/v1/nodes/worker", {
          headers: {
            authorization: `Bearer ${CANARY}`,
            cookie: CANARY,
            "impersonate-user": CANARY,
            "x-remote-user": CANARY,
          },
        });
        if (status !== 404) throw new Error(`the node was answered with ${status}`);
        const seen = JSON.stringify(setting.server.requests.map(({ headers }) => [...headers]));
        if (seen.includes(CANARY) || said(setting).includes(CANARY)) {
          throw new Error("what the kubelet sent came through");
        }
      },
    },
  ],
};
