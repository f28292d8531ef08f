/**
 * @module
 */

/** Whether verdicts have effects: `enforce` acts on them, `audit` decides and logs, and changes nothing. */
export type Mode = "enforce" | "audit";
