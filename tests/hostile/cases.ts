/** All cases. */
import type { CaseGroup } from "./case.ts";
import { framing, headers, statuses, timing } from "./cases/answers.ts";
import { json } from "./cases/json.ts";
import { lists, order, watches } from "./cases/lists.ts";
import { exemptions, keys, rejection, secrets } from "./cases/operation.ts";
import { changed, identity, metadataGroup, mirrors, podStatuses, signatures, specs } from "./cases/pods.ts";
import { followed, pinned, read } from "./cases/objects.ts";
import { gets, paths, reviews, streams, writes } from "./cases/requests.ts";
import { starts } from "./cases/start.ts";
import { transport } from "./cases/transport.ts";

export const GROUPS: readonly CaseGroup[] = [
  transport,
  statuses,
  headers,
  framing,
  timing,
  json,
  lists,
  watches,
  order,
  identity,
  metadataGroup,
  mirrors,
  podStatuses,
  specs,
  changed,
  signatures,
  gets,
  writes,
  paths,
  reviews,
  streams,
  rejection,
  exemptions,
  keys,
  secrets,
  starts,
  followed,
  read,
  pinned,
];
