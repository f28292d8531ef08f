/** All cases. */
import type { CaseGroup } from "./case.ts";
import { framing, headers, statuses, timing } from "./cases/answers.ts";
import { json } from "./cases/json.ts";
import { lists, order, watches } from "./cases/lists.ts";
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
];
