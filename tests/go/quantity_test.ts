/** Compares quantities in shared/pod with Kubernetes' own code, beyond the vectors in tests/vectors/quantity.json. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SignedPodsError } from "../../shared/errors.ts";
import {
  canonicalAmount,
  canonicalQuantity,
  compareQuantities,
  MAX_QUANTITY_EXPONENT,
  MAX_QUANTITY_LENGTH,
  MAX_QUANTITY_VALUE,
  parseQuantity,
} from "../../shared/pod/quantity.ts";
import { readVectors } from "../vectors/read_vectors.ts";
import { ask, numRuns, seed } from "./kubernetes_code.ts";
