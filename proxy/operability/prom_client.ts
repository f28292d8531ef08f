/**
 * What is used of prom-client. All of it would load clusters, tracing and files, for metrics that nobody asks for, at each start.
 *
 * @module
 */
import type * as promClient from "prom-client";
import counter from "prom-client/lib/counter.js";
import gauge from "prom-client/lib/gauge.js";
import histogram from "prom-client/lib/histogram.js";
import registry from "prom-client/lib/registry.js";

export const Counter: typeof promClient.Counter = counter;
export const Gauge: typeof promClient.Gauge = gauge;
export const Histogram: typeof promClient.Histogram = histogram;
export const Registry: typeof promClient.Registry = registry;
