/**
 * ResourceClaims of dynamic resource allocation. The kubelet hands a claim to the driver of each device that was
 * allocated; the driver reads the claim again, by itself.
 *
 * Source: `pkg/kubelet/cm/dra/manager.go` of Kubernetes 1.36.3; `k8s.io/api/resource/v1`.
 *
 * @module
 */
import type { Problem } from "@signed-pods/shared/errors";
import { type JsonObject, objectAt, objectsAt } from "@signed-pods/shared/json";
import { isQualifiedName } from "@signed-pods/shared/pod/grammar";
import { metadata, SUBDOMAIN, UID } from "./metadata.ts";
import { byShape, type JudgedObject } from "./object_kind.ts";
import { anyText, BOOLEAN, fields, list, map, QUANTITY, type Shape, text, TIME } from "./shape.ts";
import { CONDITION } from "./texts.ts";

/** `request` or `request/subrequest`. */
const REQUEST: Shape = text(
  (found) => /^[a-z0-9-]{1,63}(?:\/[a-z0-9-]{1,63})?$/.test(found),
  "a request's name",
);

/** Pools have several parts; with drivers and devices they name files of the kubelet and CDI devices. */
const POOL: Shape = text(
  (found) =>
    found.length <= 253 && found.split("/").every((part) => /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(part)),
  "a pool's name",
);

const RESOURCE_CLAIM: Shape = fields({
  // The pod that owns the claim, if it was made of a template.
  metadata: metadata({ namespaced: true, owners: true }),
  status: fields({
    reservedFor: list(fields({ apiGroup: anyText(253), resource: anyText(253), name: SUBDOMAIN, uid: UID })),
    allocation: fields({
      allocationTimestamp: TIME,
      devices: fields({
        results: list(fields({
          request: REQUEST,
          driver: SUBDOMAIN,
          pool: POOL,
          device: text((found) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(found), "a device's name"),
          adminAccess: BOOLEAN,
          shareID: UID,
          bindingConditions: list(anyText(316)),
          bindingFailureConditions: list(anyText(316)),
          consumedCapacity: map(isQualifiedName, "a qualified name", QUANTITY),
        }, ["request", "driver", "pool", "device"])),
      }),
    }),
    devices: list(fields({
      driver: SUBDOMAIN,
      pool: POOL,
      device: anyText(63),
      shareID: anyText(63),
      conditions: list(CONDITION),
    })),
  }),
}, ["metadata"]);

/** The rule of ResourceClaims: every device is of a driver that the operator allowed. */
export function judgeResourceClaim(object: JsonObject, drivers: ReadonlySet<string>): JudgedObject {
  const judged = byShape(RESOURCE_CLAIM)(object);
  if (!judged.ok) {
    return judged;
  }
  const devices = objectAt(objectAt(objectAt(judged.object, "status"), "allocation"), "devices");
  const problems: Problem[] = [];
  for (const [index, { driver }] of objectsAt(devices, "results").entries()) {
    if (typeof driver !== "string" || !drivers.has(driver)) {
      problems.push({
        path: `status.allocation.devices.results[${index}].driver`,
        message: `is not allowed on this node; to allow it, start kubelet-proxy with --allow-device-driver=${
          String(driver)
        }`,
      });
    }
  }
  return problems.length === 0 ? judged : { ok: false, code: "object-not-allowed", problems };
}
