/**
 * How the proxy's parts report what they do. The sink is made in main.ts; parts only see this interface.
 *
 * @module
 */

/** What may stand beside an event's name. Values are printed as they are: never secrets, never environment values. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined | readonly string[]>>;

/** Writes one line per event. `event` is a stable name in kebab-case, `message` is for people. */
export interface Log {
  debug(event: string, message: string, fields?: LogFields): void;
  info(event: string, message: string, fields?: LogFields): void;
  warn(event: string, message: string, fields?: LogFields): void;
  error(event: string, message: string, fields?: LogFields): void;
}
