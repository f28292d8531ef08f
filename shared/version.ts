/**
 * @module
 */

/** The version that all programs of this repository report. */
export const VERSION = "0.1.0";
